"""The server's web side: REST, dashboard, metrics and health; an ordinary ASGI application.

Nothing here is imported before the first request for it (`services` alone is light and imported at the start).
"""
