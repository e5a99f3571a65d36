"""Which URLs can name a server."""

import ipaddress
from urllib.parse import urlsplit, urlunsplit

from meshproxy_cli.errors import UsageError


class UrlError(UsageError):
    """The URL can't be a server's. The message never quotes a password."""


def server_url(text: str, *, insecure_http: bool = False) -> str:
    """Return the URL of a server without a trailing slash. Raises `UrlError`.

    It is `https://`, or `http://` to this machine itself; plain HTTP to others would show every token to the network
    between, and is taken only with `insecure_http`.
    """
    try:
        parts = urlsplit(text.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise UrlError("that is no URL", hint="it looks like https://mesh.example.com") from None
    if parts.username is not None or parts.password is not None:
        raise UrlError("a server's URL holds no user name or password", hint="leave out the part before the @")
    if parts.scheme not in {"http", "https"} or not host:
        raise UrlError(f"{text!r} is no URL of a server", hint="it looks like https://mesh.example.com")
    if parts.query or parts.fragment:
        raise UrlError(f"{text!r} has a query or fragment, which a server's URL does not")
    if parts.scheme == "http" and not insecure_http and not is_loopback(host):
        raise UrlError(
            f"{text!r} would send tokens unencrypted over the network",
            hint="use https://, or allow it: `server add --insecure-http`, or MESHPROXY_INSECURE_HTTP=1",
        )
    return urlunsplit((parts.scheme, parts.netloc.lower(), parts.path.rstrip("/"), "", ""))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
