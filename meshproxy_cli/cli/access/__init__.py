"""`meshproxy access`."""
