"""The client's side: connections, the ASGI bridge, static answers."""
