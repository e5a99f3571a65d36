"""`meshproxy config`."""
