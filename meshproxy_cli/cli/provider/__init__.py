"""`meshproxy provider`."""
