"""Which URLs can name a server or a provider."""

import ipaddress
from urllib.parse import urlsplit, urlunsplit

from meshproxy_cli.errors import UsageError


class UrlError(UsageError):
    """The URL can't be used. The message never quotes a password."""


def server_url(text: str, *, insecure_http: bool = False) -> str:
    """Return the base URL of a server or provider without a trailing slash. Raises `UrlError`.

    It is `https://`, or `http://` to this machine itself; plain HTTP to others would show every token to the network
    in between, and is taken only with `insecure_http`.
    """
    try:
        parts = urlsplit(text.strip())
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise UrlError("that is no URL", hint="it looks like https://mesh.example.com") from None
    if parts.username is not None or parts.password is not None:
        raise UrlError(
            "the URL holds a user name or password, which would be shown and logged",
            hint="leave out the part before the @",
        )
    if parts.scheme not in {"http", "https"} or not host:
        raise UrlError(f"{text!r} is no http or https URL", hint="it looks like https://mesh.example.com")
    if parts.query or parts.fragment:
        raise UrlError(f"{text!r} has a query or fragment, which a base URL does not")
    if parts.scheme == "http" and not insecure_http and not is_loopback(host):
        raise UrlError(
            f"{text!r} would send tokens unencrypted over the network",
            hint="use https://; or, on a network that you trust, --insecure-http (MESHPROXY_INSECURE_HTTP=1)",
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
