"""`meshproxy database`."""
