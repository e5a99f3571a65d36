"""Ways to a provider: TLS that is verified, HTTP proxies, IPv6."""

import asyncio
import base64
import socket
import ssl
from pathlib import Path

import pytest

from fixtures.certificates import certificate
from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.process.launcher import tls_context
from proxy.gateway_server import bench, plain, provider, read_request, request, run

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text() != ""


async def serve(reader: Reader, writer: Writer) -> None:
    """Answer with the target that was asked for, and the provider's key."""
    while True:
        asked = await read_request(reader)
        writer.write(plain(asked.head.split(b" ")[1] + b" " + asked.fields(b"authorization")[0]))


class HttpProxy:
    """An HTTP proxy that knows CONNECT only."""

    def __init__(self, status: bytes = b"200 Connection established") -> None:
        self.status = status
        self.heads: list[bytes] = []

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        writer.write(b"HTTP/1.1 " + self.status + b"\r\n\r\n")
        if not self.status.startswith(b"200"):
            await writer.drain()
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        there_reader, there_writer = await asyncio.open_connection(host.strip("[]"), int(port))

        async def copy(source: Reader, sink: Writer) -> None:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.close()

        try:
            await asyncio.gather(copy(reader, there_writer), copy(there_reader, writer))
        finally:
            there_writer.transport.abort()


def config(port: int, scheme: str = "http", host: str = "localhost") -> str:
    return f'[providers.openai]\nbase_url="{scheme}://{host}:{port}/v1"\nkeys=["one"]\n'


GOOD = b"/v1/responses Bearer one"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_providers_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", cert)

    async def test() -> None:
        async with (
            provider(serve, ssl=tls_context(cert, key)) as port,
            bench(tmp_path, config(port, "https", host)) as running,
        ):
            for _ in range(2):
                assert (await running.ask(request())).endswith(GOOD)
            assert running.gateway.pool.idle_count == 1

    run(test())


@pytest.mark.parametrize("name", ["localhost", "elsewhere.example"])
def test_a_certificate_of_nobody_or_of_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cert, key = certificate(tmp_path, name)
    if name == "elsewhere.example":
        monkeypatch.setenv("SSL_CERT_FILE", cert)

    async def test() -> None:
        async with (
            provider(serve, ssl=tls_context(cert, key)) as port,
            bench(tmp_path, config(port, "https")) as running,
        ):
            answer = await running.ask(request())
            assert answer.startswith(b"HTTP/1.1 502 ")
            assert b"certificate" in answer

    run(test())


def test_clients_may_speak_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)

    async def test() -> None:
        async with (
            provider(serve) as port,
            bench(tmp_path, config(port, host="127.0.0.1"), tls=tls_context(cert, key)) as running,
        ):
            trust = ssl.create_default_context(cafile=cert)
            for close in (True, True):
                answer = await running.ask(request(close=close), ssl=trust, server_hostname="localhost")
                assert answer.endswith(GOOD)
            large = b'{"model":"a","x":"' + b"x" * 2**20 + b'"}'
            assert (await running.ask(request(large), ssl=trust, server_hostname="localhost")).endswith(GOOD)
            refused = await running.ask(
                b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n", ssl=trust, server_hostname="localhost"
            )
            assert refused.startswith(b"HTTP/1.1 400 ")

    run(test())


def test_certificates_that_cannot_be_used(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    assert tls_context("", "") is None
    for pair in ((cert, str(tmp_path / "none")), (str(tmp_path / "none"), key), (key, key)):
        with pytest.raises(UsageError):
            tls_context(*pair)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_http_proxy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    cert, key = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", cert)
    between = HttpProxy()

    async def test() -> None:
        tls = tls_context(cert, key) if scheme == "https" else None
        async with provider(serve, ssl=tls) as port, provider(between) as proxy_port:
            environ = {f"{scheme.upper()}_PROXY": f"http://ana:p%40ss@127.0.0.1:{proxy_port}"}
            async with bench(tmp_path, config(port, scheme), environ=environ) as running:
                for _ in range(2):
                    assert (await running.ask(request())).endswith(GOOD)
            assert len(between.heads) == 1
            assert between.heads[0].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % port)
            assert base64.b64encode(b"ana:p@ss") in between.heads[0]
            assert b"one" not in between.heads[0]

    run(test())


def test_no_proxy_is_heeded(tmp_path: Path) -> None:
    between = HttpProxy()

    async def test() -> None:
        async with provider(serve) as port, provider(between) as proxy_port:
            environ = {"http_proxy": f"127.0.0.1:{proxy_port}", "NO_PROXY": "elsewhere.example,localhost"}
            async with bench(tmp_path, config(port), environ=environ) as running:
                assert (await running.ask(request())).endswith(GOOD)
        assert between.heads == []

    run(test())


@pytest.mark.parametrize("proxy", ["refuses", "socks5://127.0.0.1:1", "http://127.0.0.1:99999", "http://"])
def test_a_proxy_that_does_not_help_is_said_to_be_the_reason(tmp_path: Path, proxy: str) -> None:
    async def test() -> None:
        async with provider(HttpProxy(b"403 Forbidden")) as proxy_port:
            environ = {"HTTP_PROXY": f"http://127.0.0.1:{proxy_port}" if proxy == "refuses" else proxy}
            async with bench(tmp_path, config(1), environ=environ) as running:
                answer = await running.ask(request())
                assert answer.startswith(b"HTTP/1.1 502 ")
                assert b"proxy" in answer.lower() or b"port" in answer.lower()

    run(test())


def test_a_name_that_no_resolver_takes(tmp_path: Path) -> None:
    async def test() -> None:
        async with bench(tmp_path, config(1, host="a" * 70 + ".example") + "allow_http = true\n") as running:
            assert (await running.ask(request())).startswith(b"HTTP/1.1 502 ")

    run(test())


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_both_sides_speak_ipv6(tmp_path: Path) -> None:
    async def test() -> None:
        async with (
            provider(serve, host="::1") as port,
            bench(tmp_path, config(port, host="[::1]"), host="::1") as running,
        ):
            assert (await running.ask(request(), host="::1")).endswith(GOOD)

    run(test())
