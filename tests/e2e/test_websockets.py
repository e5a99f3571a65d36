"""Websockets through a real Room Proxy: both ends are the test's own, and every byte between them is compared."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.provider import OPENAI_KEY, RecordingProvider
from e2e.websocket_peers import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    call,
    create,
    fields_of,
    frame,
    goodbye,
    masked,
    message,
    switch,
)
from e2e.websocket_server import MIB, RESPONSES, Stage, staged
from fixtures.commands import Home

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, provider: RecordingProvider) -> Iterator[Stage]:
    with staged(Home(tmp_path_factory.mktemp("websockets")), provider) as running:
        yield running


# Connecting


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        ("401 Unauthorized", ("WWW-Authenticate: Bearer",)),
        ("426 Upgrade Required", ("Upgrade: websocket",)),
        ("429 Too Many Requests", ("Retry-After: 7", "x-ratelimit-remaining-requests: 0")),
        ("500 Internal Server Error", ()),
    ],
)
def test_the_providers_refusal_is_the_clients(stage: Stage, status: str, fields: tuple[str, ...]) -> None:
    body = b'{"error": {"message": "as the provider w\xc3\xb6rds it"}}'
    with stage.call("refused") as client:
        _, provider = stage.provider.meet()
        with provider:
            lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
            provider.send("\r\n".join(lines).encode(), body)
            head = client.head()
            assert head.startswith(f"HTTP/1.1 {status}\r\n")
            assert client.exactly(len(body)) == body
    kept = [field for field in fields if not field.startswith("Upgrade")]
    assert [field for field in kept if field not in head] == []


def test_nothing_is_promised_before_the_provider_has_agreed(stage: Stage) -> None:
    with stage.call("waiting") as client:
        _, provider = stage.provider.meet()
        with provider:
            client.socket.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.exactly(1)
            client.socket.settimeout(30)
            provider.send(switch("x-codex-turn-state: opaque", "Set-Cookie: a=b"))
            head = client.head()
    assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    assert fields_of(head, "sec-websocket-accept") == [ACCEPT]
    assert fields_of(head, "x-codex-turn-state") == ["opaque"]
    assert [value.lower() for value in fields_of(head, "connection")] == ["upgrade"]
    assert fields_of(head, "meshproxy-request-id")
    assert fields_of(head, "set-cookie") == []


def test_the_provider_gets_one_credential_and_no_extension(stage: Stage) -> None:
    token = stage.token("asked")
    fields = (
        f"x-api-key: {token}",
        "Cookie: a=b",
        f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{token}, bearer.{token}, openai-beta.realtime-v1",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        "OpenAI-Beta: responses_websockets=2026-02-06",
        "x-codex-turn-state: opaque",
    )
    with stage.call("asked", *fields) as client:
        head, provider = stage.provider.meet()
        with provider:
            provider.send(switch("Sec-WebSocket-Protocol: realtime"))
            answer = client.head()
    assert head.startswith("GET /v1/responses HTTP/1.1\r\n")
    assert "eyJ" not in head
    assert fields_of(head, "authorization") == [f"Bearer {OPENAI_KEY}"]
    for name in ("x-api-key", "cookie", "meshagent-session", "sec-websocket-extensions"):
        assert fields_of(head, name) == []
    assert fields_of(head, "sec-websocket-protocol") == ["realtime, openai-beta.realtime-v1"]
    assert fields_of(head, "sec-websocket-key") == [KEY]
    assert fields_of(head, "x-codex-turn-state") == ["opaque"]
    assert fields_of(head, "openai-beta") == ["responses_websockets=2026-02-06"]
    assert fields_of(answer, "sec-websocket-protocol") == ["realtime"]
    assert fields_of(answer, "sec-websocket-extensions") == []


def test_a_token_may_come_as_a_subprotocol_alone(stage: Stage) -> None:
    offered = f"Sec-WebSocket-Protocol: realtime, meshagent-token.{stage.token('browser')}"
    with call(stage.proxy.url, f"/rooms/browser{RESPONSES}", "", offered) as client:
        head, provider = stage.provider.meet()
        with provider:
            provider.send(switch("Sec-WebSocket-Protocol: realtime"))
            assert client.head().startswith("HTTP/1.1 101 ")
    assert fields_of(head, "sec-websocket-protocol") == ["realtime"]


def test_a_provider_that_compresses_unasked_is_not_taken(stage: Stage) -> None:
    with stage.call("squeezed") as client:
        _, provider = stage.provider.meet()
        with provider:
            provider.send(switch("Sec-WebSocket-Extensions: permessage-deflate"))
        assert client.head().startswith("HTTP/1.1 502 ")


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"session": None}, 400, "session_missing"),
        ({"path": "/openai/v1/chat/completions"}, 404, "unknown_path"),
        ({"path": "/openai/v1/realtime?model=gpt-6", "narrow": True}, 403, "model_not_allowed"),
        ({"path": "/openai/v1/realtime?model=gpt-realtime&model=gpt-6", "narrow": True}, 400, "invalid_body"),
        ({"path": "/openai/v1/realtime", "narrow": True}, 400, "model_missing"),
    ],
)
def test_what_is_refused_never_reaches_the_provider(
    stage: Stage, options: dict[str, Any], status: int, code: str
) -> None:
    with stage.call("closed", **options) as client:
        head = client.head()
        assert head.startswith(f"HTTP/1.1 {status} ")
        body = client.exactly(int(fields_of(head, "content-length")[0]))
    assert json.loads(body)["error"]["code"] == code
    stage.provider.listener.settimeout(0.2)
    with pytest.raises(TimeoutError):
        stage.provider.listener.accept()


# Frames

FROM_PROVIDER = {
    "text": [frame(TEXT, "schön".encode())],
    "empty": [frame(TEXT, b"")],
    "binary": [frame(BINARY, bytes(range(256)))],
    "not UTF-8": [frame(TEXT, b"\xff\xfe")],
    "medium": [frame(TEXT, b"x" * 126), frame(TEXT, b"x" * 65_535)],
    "large": [frame(TEXT, b"x" * 65_536), frame(BINARY, b"y" * 3 * MIB)],
    "fragments": [frame(TEXT, b"one", fin=False), frame(CONT, b"", fin=False), frame(CONT, b"two")],
    "ping between fragments": [frame(BINARY, b"a", fin=False), frame(PING, b"beat"), frame(CONT, b"b")],
    "ping and pong": [frame(PING, b""), frame(PONG, b"x" * 125)],
    "an unknown kind": [frame(TEXT, b"ok"), b"\x83\x02hi", frame(TEXT, b"after it")],
}


@pytest.mark.parametrize("name", FROM_PROVIDER)
@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_what_the_provider_sends_arrives_byte_for_byte(stage: Stage, name: str, step: int) -> None:
    sent = b"".join(FROM_PROVIDER[name])
    step = max(step, len(sent) // 1000)
    with stage.connected("bytes") as (client, provider):
        for start in range(0, len(sent), step):
            provider.send(sent[start : start + step])
        assert client.exactly(len(sent)) == sent


FROM_CLIENT = {
    "text": [masked(TEXT, create(input="schön", text="\ud83d\ude00"))],
    "binary": [masked(BINARY, create())],
    "any event": [masked(TEXT, message(type="input_audio_buffer.append", audio="AAAA"))],
    "large": [masked(TEXT, create(input="x" * (MIB - 200)))],
    "medium": [masked(TEXT, create(input="x" * 300)), masked(TEXT, create(input="y" * 70_000))],
    "ping and pong": [masked(PING, b"beat"), masked(PONG, b"x" * 125), masked(PING, b"")],
    "spaces and escapes": [masked(TEXT, b' { "type" : "response.create" ,\n "model":"gpt\\u002d5.4", "x": 1.50e0 } ')],
}


@pytest.mark.parametrize("name", FROM_CLIENT)
def test_what_the_client_sends_arrives_byte_for_byte(stage: Stage, name: str) -> None:
    sent = b"".join(FROM_CLIENT[name])
    with stage.connected("bytes") as (client, provider):
        for start in range(0, len(sent), 1000):
            client.send(sent[start : start + 1000])
        assert provider.exactly(len(sent)) == sent


def test_fragments_of_the_client_arrive_whole_and_pings_between_them_at_once(stage: Stage) -> None:
    whole = create(input="fragments")
    parts = [masked(TEXT, whole[:10], fin=False), masked(CONT, whole[10:20], fin=False), masked(CONT, whole[20:])]
    ping = masked(PING, b"between")
    with stage.connected("bytes") as (client, provider):
        client.send(parts[0], ping, parts[1])
        assert provider.exactly(len(ping)) == ping
        client.send(parts[2])
        assert provider.exactly(len(b"".join(parts))) == b"".join(parts)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, create()), 1002),
        (b"\xc1\x80" + bytes(4), 1002),
        (masked(CONT, b"x"), 1002),
        (b"\x83\x80" + bytes(4), 1002),
        (b"\x89\xfe\x00\x7e" + bytes(4), 1002),
        (b"\x81\xff" + (MIB + 1).to_bytes(8, "big") + bytes(4), 1009),
        (masked(TEXT, b"x" * MIB, fin=False) + masked(CONT, b"yy"), 1009),
    ],
    ids=["unmasked", "extension", "continuation", "unknown", "long-ping", "large", "large-in-parts"],
)
def test_a_client_that_breaks_the_protocol_is_told_and_the_provider_hears_nothing(
    stage: Stage, sent: bytes, code: int
) -> None:
    with stage.connected("broken") as (client, provider):
        client.send(sent)
        heard = client.frame()
        if code == 1009:
            assert heard.json()["error"]["code"] == "request_too_large"
            heard = client.frame()
        assert (heard.opcode, heard.code) == (CLOSE, code)
        assert client.has_ended()
        assert provider.has_ended()


def test_goodbyes_go_both_ways(stage: Stage) -> None:
    with stage.connected("goodbye") as (client, provider):
        client.send(masked(CLOSE, goodbye(4001, "enough")))
        heard = provider.frame()
        assert (heard.opcode, heard.payload) == (CLOSE, goodbye(4001, "enough"))
        provider.send(frame(CLOSE, goodbye(4001, "so be it")))
        assert client.rest() == frame(CLOSE, goodbye(4001, "so be it")), "all is said: a server ends the connection"
        assert provider.has_ended()
    with stage.connected("goodbye") as (client, provider):
        provider.send(frame(CLOSE, goodbye(1013, "come back later")))
        assert client.frame().payload == goodbye(1013, "come back later")
        client.send(masked(CLOSE, goodbye(1013, "")))
        assert provider.frame().code == 1013
    with stage.connected("goodbye") as (client, provider):
        provider.send(frame(CLOSE, b""))
        assert client.exactly(2) == frame(CLOSE, b"")


@pytest.mark.parametrize("slow", ["client", "provider"])
def test_a_slow_reader_holds_up_the_sender(stage: Stage, slow: str) -> None:
    with stage.connected("slow") as ends:
        reader, writer = ends if slow == "client" else ends[::-1]
        piece = frame(BINARY, b"x" * 65_536) if slow == "client" else masked(TEXT, create(input="x" * 65_000))
        writer.socket.settimeout(0)
        sent = bytearray()
        quiet = 0
        while quiet < 20 and len(sent) < 256 * MIB:  # what the kernel and the proxy hold is far below
            try:
                taken = writer.socket.send(piece[len(sent) % len(piece) :])
                sent += piece[len(sent) % len(piece) :][:taken]
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.02)
        assert len(sent) < 64 * MIB, "nothing held the sender up"
        writer.socket.settimeout(30)
        whole = len(sent) - len(sent) % len(piece)
        assert reader.exactly(whole) == bytes(sent[:whole])
