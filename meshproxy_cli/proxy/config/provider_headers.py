"""The headers that `server.toml` adds to a provider's requests, as in `headers = {authorization = "Bearer env:NAME"}`.

The last word of a value may be a reference, as keys are; where a header is for credentials, it has to be one.
"""

import re
from collections.abc import Callable

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.request.forwarded_headers import CREDENTIALS, HOP_BY_HOP

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, token
_REFERENCE = re.compile(r"(?:env|keyring|file):\S+")
#: What says where a request ends, or belongs to one connection, is the proxy's own business.
_RESERVED = frozenset(name.decode() for name in HOP_BY_HOP) | {"content-length", "expect", "trailer"}
_FOR_CREDENTIALS = frozenset(name.decode() for name in CREDENTIALS)


def read_headers(table: object, resolve_secret: Callable[[str], str]) -> dict[str, str]:
    """Return a provider's headers with their references resolved.

    Raises `UsageError`, which never quotes a value, and what `resolve_secret` raises.
    """
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise UsageError("headers must be a table of texts")
    return {name: _value(_checked(name), value, resolve_secret) for name, value in table.items()}


def check_value(text: str, what: str) -> str:
    """Return a text that can stand in a header; raise `UsageError` for any other."""
    if not text.isascii() or not text.isprintable():
        raise UsageError(f"{what} holds a line break or another character that no header can have")
    return text


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} can't name a header")
    if name.lower() in _RESERVED:
        raise UsageError(f"the header {name} is the proxy's own to set")
    return name


def _value(name: str, text: str, resolve_secret: Callable[[str], str]) -> str:
    words, blank, last = text.rpartition(" ")
    if _REFERENCE.fullmatch(last) or name.lower() in _FOR_CREDENTIALS:
        text = words + blank + resolve_secret(last)
    return check_value(text, f"the header {name}")
