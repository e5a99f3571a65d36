"""`meshproxy secret` and `logout`."""
