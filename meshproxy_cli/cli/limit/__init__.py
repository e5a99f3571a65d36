"""`meshproxy limit`."""
