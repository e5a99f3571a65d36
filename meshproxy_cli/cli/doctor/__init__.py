"""`meshproxy doctor`."""
