"""The lifecycle of a request, from its head to its event."""
