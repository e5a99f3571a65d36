"""`meshproxy setup`."""
