"""What nobody foresaw becomes a 500 of the surface that was asked; connection and worker go on."""

import asyncio
import base64
import hmac
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy_cli.proxy.core import unexpected
from meshproxy_cli.proxy.request.authorization import Authorizer
from meshproxy_cli.proxy.request.signature import signed_by
from meshproxy_cli.store.records import SigningKey
from meshproxy_cli.tokens.claims import ParticipantToken, TokenError, TokenProblem
from meshproxy_cli.tokens.participant import verify
from proxy.gateway_server import KEY, bench, plain, provider, read_request, request, run, token, until
from proxy.scripted_exchanges import Reader, Writer, openai

KNOWN = SigningKey(id=KEY.id, project_id=KEY.project_id, secret=KEY.secret)


def signed(payload: bytes, secret: str = KEY.secret) -> str:
    """Return a token with just these bytes as its payload."""
    parts = [base64.urlsafe_b64encode(one).rstrip(b"=") for one in (b'{"alg":"HS256","typ":"JWT"}', payload)]
    signature = base64.urlsafe_b64encode(hmac.digest(secret.encode(), b".".join(parts), "sha256")).rstrip(b"=")
    return b".".join((*parts, signature)).decode()


def claims(**changed: str) -> bytes:
    members = {
        "name": '"ana"',
        "grants": '[{"name":"api","scope":{"llm":{}}}]',
        "sub": f'"{KEY.project_id}"',
        "kid": f'"{KEY.id}"',
    } | changed
    return ("{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}").encode()


ODD = ["9" * 400, "-" + "9" * 400, "1e999", "NaN", "Infinity", '"\\ud800"', "[" * 990 + "]" * 990, "{}", "null", "true"]


@pytest.mark.parametrize("name", ["exp", "nbf", "sub", "kid", "grants", "version", "session"])
@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("secret", [KEY.secret, "another secret of some length"], ids=["right", "wrong"])
def test_odd_claims_are_refused(name: str, value: str, secret: str) -> None:
    with pytest.raises(TokenError) as caught:
        verify(signed(claims(**{name: value}), secret), lambda _: KNOWN, now=0, signed_by=signed_by)
    if secret != KEY.secret:
        assert caught.value.reason in {TokenProblem.BAD_SIGNATURE, TokenProblem.MALFORMED}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one) | st.dictionaries(st.text(), one),
)


@given(name=st.sampled_from(["exp", "nbf", "sub", "name", "grants", "version", "session", "aud"]), value=JSON)
def test_no_json_makes_reading_claims_raise(name: str, value: Any) -> None:
    text = signed(claims(**{name: json.dumps(value)}))
    try:
        found = verify(text, lambda _: KNOWN, now=0, signed_by=signed_by)
    except TokenError:
        return
    assert isinstance(found, ParticipantToken)


async def _serve(reader: Reader, writer: Writer) -> None:
    while True:
        await read_request(reader)
        writer.write(plain(b"{}"))


@pytest.mark.parametrize("path", ["/openai/v1/responses", "/anthropic/v1/messages"])
def test_an_error_is_a_500_and_the_connection_goes_on(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Authorizer, "authorize", broken)
    monkeypatch.setattr(unexpected, "_traced", {})
    before = unexpected.counts.total()

    async def play() -> None:
        async with provider(_serve) as port, bench(tmp_path, openai(port)) as running:
            reader, writer = await running.connect()
            for _ in range(3):
                writer.write(request(path=path, close=False))
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 500 ")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                body = json.loads(await reader.readexactly(length))
                assert "Room Proxy" in body["error"]["message"]
                assert (body.get("type") == "error") is path.startswith("/anthropic")
            assert not running.gateway.exchanges

    with caplog.at_level(logging.ERROR):
        run(play())
    assert unexpected.counts.total() - before == 3
    lines = [one for one in caplog.records if "unexpected error" in one.getMessage()]
    assert len(lines) == 3
    assert len([one for one in lines if one.exc_info]) == 1
    assert all(one.request_id.startswith("req_") for one in lines)  # type: ignore[attr-defined]


def test_a_body_is_not_read_while_its_key_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with provider(_serve) as port, bench(tmp_path, openai(port)) as running:
            waiting: list[Any] = []
            monkeypatch.setattr(running.gateway, "refresh_directory", waiting.append)
            forged = signed(claims(kid='"7c9e6679-7425-40de-944b-e07fc1f90ae8"'))
            data = request(b"x" * 4_000_000).replace(token().encode(), b"")
            lines = [b"Authorization: Bearer " + forged.encode() if one.lower().startswith(b"authorization") else one
                     for one in data.split(b"\r\n")]  # fmt: skip
            for _ in range(100):
                _, writer = await running.connect()
                writer.write(b"\r\n".join(lines)[:600_000])
            await until(lambda: len(waiting) == 100)
            await asyncio.sleep(0.3)
            held = sum(len(piece) for one in running.gateway.exchanges for piece in one.pieces)
            assert held <= 100 * 256 * 1024
            for done in waiting:
                done()
            assert not any(one.pieces for one in running.gateway.exchanges)

    run(play())
