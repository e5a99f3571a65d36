"""`meshproxy server`."""
