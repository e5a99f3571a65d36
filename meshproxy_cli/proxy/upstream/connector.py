"""Open connections to providers: plain, TLS, through an HTTP proxy, or to the built-in echo provider."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in the stubs

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.config.targets import Address
from meshproxy_cli.proxy.echo.provider import EchoConnection
from meshproxy_cli.proxy.upstream.connection import UpstreamConnection

_MAX_PROXY_ANSWER = 16 * 1024
_OK = b"200"


class ProviderConnector:
    """Opens connections as the environment says (HTTP_PROXY, HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE)."""

    def __init__(self, environ: Mapping[str, str], timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._tls = ssl.create_default_context()  # honors SSL_CERT_FILE and SSL_CERT_DIR
        self._tls.set_alpn_protocols(["http/1.1"])
        self._proxies = {
            scheme: environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY") or ""
            for scheme in ("http", "https")
        }
        self._bypass = {"no": environ.get("no_proxy") or environ.get("NO_PROXY") or ""}

    async def __call__(self, address: Address, factory: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        """Return an open connection; raises `OSError` (TLS problems included) or `TimeoutError`."""
        if address.echo is not None:
            return await _echo(address, factory)
        async with asyncio.timeout(self.timeout_s):
            proxy = self._proxy_for(address)
            return await (self._through(proxy, address, factory) if proxy else self._direct(address, factory))

    def _proxy_for(self, address: Address) -> str:
        proxy = self._proxies["https" if address.tls else "http"]
        if not proxy or proxy_bypass_environment(f"{address.host}:{address.port}", self._bypass):
            return ""
        return proxy

    async def _direct(self, address: Address, factory: Callable[[], UpstreamConnection]) -> UpstreamConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            factory, address.host, address.port, ssl=self._tls if address.tls else None
        )
        return connection

    async def _through(
        self, proxy: str, address: Address, factory: Callable[[], UpstreamConnection]
    ) -> UpstreamConnection:
        """Ask the proxy for a tunnel, for plain HTTP too: so the provider's request is the same either way."""
        loop = asyncio.get_running_loop()
        where = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
        if where.scheme not in {"http", "https"} or not where.hostname:
            raise UsageError("HTTP_PROXY and HTTPS_PROXY must be http:// or https:// URLs")
        tls_to_proxy = self._tls if where.scheme == "https" else None
        port = where.port or (443 if tls_to_proxy else 80)
        transport, tunnel = await loop.create_connection(lambda: _Tunnel(loop), where.hostname, port, ssl=tls_to_proxy)
        name = f"[{address.host}]" if ":" in address.host else address.host
        transport.write(_connect_request(f"{name}:{address.port}", where.username, where.password))
        try:
            await tunnel.established
        except BaseException:
            transport.abort()
            raise
        connection = factory()
        if not address.tls:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        secured = await loop.start_tls(transport, connection, self._tls, server_hostname=address.host)
        if secured is None:
            raise ConnectionError("the connection ended during the TLS handshake")
        connection.connection_made(secured)
        return connection


class _Tunnel(asyncio.Protocol):
    """Waits for an HTTP proxy's answer to CONNECT."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.established: asyncio.Future[None] = loop.create_future()
        self._answer = b""

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if self.established.done():
            return
        if self._answer.endswith(b"\r\n\r\n"):
            status = self._answer.split(b" ", 2)[1:2]
            if status == [_OK]:
                self.established.set_result(None)
            else:
                line = self._answer.split(b"\r\n", 1)[0].decode("latin-1")
                self.established.set_exception(ConnectionError(f"the HTTP proxy refused: {line}"))
        elif len(self._answer) > _MAX_PROXY_ANSWER:
            self.established.set_exception(ConnectionError("the HTTP proxy's answer is too long"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.established.done():
            self.established.set_exception(ConnectionError(f"the HTTP proxy closed the connection ({exc})"))


def _connect_request(authority: str, user: str | None, password: str | None) -> bytes:
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _echo(address: Address, factory: Callable[[], UpstreamConnection]) -> UpstreamConnection:
    """Connect to the echo provider within this process, over a socket pair: the same path as any provider."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    protocol = address.echo or "openai"
    await loop.connect_accepted_socket(lambda: EchoConnection(protocol), theirs)
    _, connection = await loop.create_unix_connection(factory, sock=ours)
    return connection
