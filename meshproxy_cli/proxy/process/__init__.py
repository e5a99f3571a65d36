"""Processes of a server: supervisor, workers, shipper, background work, reload."""
