"""The dashboard: server-rendered pages over the store, complete without scripts; nothing is loaded from elsewhere."""

from meshproxy_cli.proxy.admin.dashboard import access, breakdown, keys, login, overview, rooms

ROUTES = (
    *login.ROUTES,
    *overview.ROUTES,
    *breakdown.ROUTES,
    *keys.ROUTES,
    *rooms.ROUTES,
    *access.ROUTES,
)
