"""`meshproxy room`."""
