"""Where requests go: one base URL of a provider with one credential, prepared for the request path."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.core.routes import Protocol

ECHO_URL = "echo:"
_PORTS = {"http": 80, "https": 443}
_VERSION = "/v1"


@dataclass(frozen=True, slots=True)
class Address:
    """What a connection is opened to; connections of one address are kept in one pool."""

    host: str
    port: int
    tls: bool
    echo: Protocol | None = None  # the built-in provider, speaking this protocol


@dataclass(frozen=True, slots=True)
class Target:
    """A provider's base URL with one of its credentials. `prefix` and `fixed` are written as they are."""

    address: Address
    prefix: bytes  # of every path, without the "/v1" that the endpoint brings
    fixed: bytes = field(repr=False)  # header lines: Host, the credential, the provider's own; each ends with CRLF
    fixed_names: frozenset[bytes] = frozenset()  # their lower-case names: what the client sends of these is dropped
    credential: str = field(default="", repr=False)

    def url(self, path: bytes) -> bytes:
        """Return the request target of an endpoint's path, such as b"/v1/responses"."""
        return self.prefix + path


def make_target(
    protocol: Protocol, base_url: str, credential: tuple[str, str] | None, headers: dict[str, str]
) -> Target:
    """Prepare a target. `base_url` is http(s)://… or "echo:"; raises `UsageError` where it is neither."""
    if base_url == ECHO_URL:
        return Target(Address("echo", 0, tls=False, echo=protocol), b"", b"host: echo\r\n")
    address, prefix = split_base_url(base_url)
    default = _PORTS["https" if address.tls else "http"]
    name = f"[{address.host}]" if ":" in address.host else address.host
    host = name if address.port == default else f"{name}:{address.port}"
    fields = {"host": host, **{name.lower(): value for name, value in headers.items()}}
    key = ""
    if credential is not None:
        name, key = credential
        fields[name] = key
    fixed = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    if fixed.count("\r") != len(fields) or fixed.count("\n") != len(fields):
        raise UsageError(f"a header or key for {base_url} holds a line break", hint="check the provider's key")
    return Target(address, prefix.encode(), fixed.encode("latin-1"), frozenset(name.encode() for name in fields), key)


def split_base_url(base_url: str) -> tuple[Address, str]:
    """Return the address and the path before `/v1` of a base URL; both forms, with `/v1` and without, are taken."""
    parts = urlsplit(base_url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise UsageError(f"{base_url!r} is no base URL of a provider", hint="it looks like https://api.openai.com/v1")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise UsageError(f"{base_url!r} has no valid port") from None
    path = parts.path.rstrip("/").removesuffix(_VERSION)
    if not path.isascii() or any(character.isspace() for character in path):
        raise UsageError(f"{base_url!r} has a path that can't be sent as it is", hint="percent-encode it")
    return Address(parts.hostname, port, tls=parts.scheme == "https"), path
