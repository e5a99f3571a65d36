"""The certificate that clients are shown, exchanged while the server listens."""

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop
from cryptography import x509

from fixtures.certificates import certificate
from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.process.tls import ServerTls, tls_context


def context(directory: Path, name: str) -> ssl.SSLContext:
    found = tls_context(*certificate(directory, name))
    assert found is not None
    return found


def shown(writer: asyncio.StreamWriter) -> str:
    """Return the common name of the certificate that the server showed."""
    found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return str(x509.load_der_x509_certificate(found).subject.rfc4514_string())


def client() -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["h2", "http/1.1"])
    return made


@pytest.mark.parametrize("name", ["localhost", ""], ids=["host named", "no host named"])
def test_new_connections_get_the_new_one_and_old_ones_go_on(tmp_path: Path, name: str) -> None:
    first, second = context(tmp_path, "first"), context(tmp_path, "second")

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def run() -> None:
        tls = ServerTls(first)
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.front)
        port = server.sockets[0].getsockname()[1]

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", port, ssl=client(), server_hostname=name)

        old = await connect()
        assert shown(old[1]) == "CN=first"
        tls.use(second)
        new = await connect()
        assert shown(new[1]) == "CN=second"
        assert new[1].get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        for reader, writer in (old, new):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            writer.close()
        tls.use(first)
        again = await connect()
        assert shown(again[1]) == "CN=first"
        again[1].close()
        server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls_context("", "") is None


@pytest.mark.parametrize("broken", ["missing", "no certificate", "another's key"])
def test_what_can_not_be_used_is_told(tmp_path: Path, broken: str) -> None:
    chain, key = certificate(tmp_path, "one")
    if broken == "missing":
        chain = str(tmp_path / "none.pem")
    elif broken == "no certificate":
        Path(chain).write_text("nothing")
    else:
        _, key = certificate(tmp_path, "two")
    with pytest.raises(UsageError, match="TLS certificate or key can't be used"):
        tls_context(chain, key)
