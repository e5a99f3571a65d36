"""Errors of the store."""

from meshproxy_cli.errors import UnavailableError


class StoreUnavailableError(UnavailableError):
    """The database is unreachable, locked or slower than its time limit."""
