"""Websockets through a real Room Proxy: both ends are the test's own, and every byte between them is compared."""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from select import select
from typing import Any

import pytest
from openai import OpenAI
from websockets.sync.client import connect
from websockets.typing import Subprotocol

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
    Peer,
    Provider,
    call,
    completed,
    create,
    created,
    fields_of,
    frame,
    goodbye,
    masked,
    message,
    switch,
)
from e2e.wire import Reported, responses_stream
from fixtures.agents import Agents
from fixtures.commands import Home
from fixtures.people import Person, Question
from fixtures.proxies import RoomProxy, running_proxy
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec, parse_spec

pytestmark = pytest.mark.e2e

MIB = 2**20
CONFIG = """
[providers.openai]
base_url = "{provider}/v1"
keys = ["env:OPENAI_API_KEY"]
[limits]
max_body_mib = 1
"""
RESPONSES, REALTIME = "/openai/v1/responses", "/openai/v1/realtime?model=gpt-realtime"
NARROW = """
version: v1
kind: ParticipantToken
identity: tester
room: ROOM
api: {llm: {models: [openai/gpt-5.4, openai/gpt-realtime]}}
"""


class Stage:
    """A Room Proxy in front of a provider of which the test is in charge."""

    def __init__(self, proxy: RoomProxy, provider: Provider) -> None:
        self.proxy = proxy
        self.provider = provider

    def token(self, room: str, *, narrow: bool = False, key: ApiKey | None = None) -> str:
        spec = parse_spec(NARROW.replace("ROOM", room)) if narrow else TokenSpec.for_room("tester", room)
        return mint(spec, key or self.proxy.key, now=int(time.time()))

    def call(self, room: str, *fields: str, path: str = RESPONSES, narrow: bool = False, **options: Any) -> Peer:
        return call(self.proxy.url, f"/rooms/{room}{path}", self.token(room, narrow=narrow), *fields, **options)

    @contextmanager
    def connected(self, room: str, **options: Any) -> Iterator[tuple[Peer, Peer]]:
        """Return the client's and the provider's end of a websocket."""
        with self.call(room, **options) as client:
            _, provider = self.provider.meet()
            with provider:
                provider.send(switch())
                assert client.head().startswith("HTTP/1.1 101 ")
                yield client, provider

    def events(self, room: str, number: int) -> list[dict[str, Any]]:
        """Return the room's events once there are as many, in the order of their begin."""
        deadline = time.monotonic() + 30
        while True:
            exported = self.proxy.cli("usage", "export", "--room", room).stdout.splitlines()
            if len(exported) >= number or time.monotonic() > deadline:
                return sorted(map(json.loads, exported), key=lambda event: str(event["started_at"]))
            time.sleep(0.1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, provider: RecordingProvider) -> Iterator[Stage]:
    with staged(Home(tmp_path_factory.mktemp("websockets")), provider) as running:
        running.proxy.cli("room", "create", "aliased", "--alias", "best=gpt-5.4", "--alias", "voice=gpt-realtime")
        yield running


@contextmanager
def staged(home: Home, recording: RecordingProvider, *options: str) -> Iterator[Stage]:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        provider = Provider(listener)
        config = home.root / "server.toml"
        config.write_text(CONFIG.format(provider=provider.origin), encoding="utf-8")
        with running_proxy(home, recording, "--config", str(config), *options) as proxy:
            yield Stage(proxy, provider)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


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
        for _ in range(2):  # once more, on a connection of its own
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


# What is asked for


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (create("gpt-6"), "model_not_allowed"),
        (message(type="response.create"), "model_missing"),
        (message(type="response.create", response={"model": "gpt-6"}), "model_not_allowed"),
        (message(type="session.update", session={"model": "gpt-6"}), "model_not_allowed"),
        (create()[:-1] + b', "model": "gpt-6"}', "invalid_event"),
        (create(Model="gpt-6"), "invalid_event"),
        (create(previous_response_id="resp_of_another_room"), "not_found"),
        (create(conversation="conv_1"), "conversation_not_found"),
        (b"\x00\x01", "invalid_event"),
        (b"[]", "invalid_event"),
    ],
)
def test_a_refused_event_is_answered_here(stage: Stage, event: bytes, code: str) -> None:
    with stage.connected("checked", narrow=True) as (client, provider):
        client.send(masked(TEXT, event))
        answer = client.frame().json()
        assert (answer["type"], answer["error"]["code"]) == ("error", code)
        assert answer["error"]["message"].startswith("Room Proxy: ")
        client.send(masked(TEXT, create()))
        assert provider.frame().payload == create(), "the websocket goes on, and this is the first the provider hears"


def test_codex_is_refused_in_the_form_that_it_shows(stage: Stage) -> None:
    with stage.call("checked", "User-Agent: codex_exec/0.169.0", narrow=True) as client:
        _, provider = stage.provider.meet()
        with provider:
            provider.send(switch())
            client.head()
            client.send(masked(TEXT, create("gpt-6")))
            answer = client.frame().json()
    assert answer["type"] == "response.failed"
    assert answer["response"]["error"]["code"] == "invalid_prompt"
    assert "does not allow the model 'gpt-6'" in answer["response"]["error"]["message"]


def test_a_refusal_waits_for_the_end_of_what_the_provider_is_saying(stage: Stage) -> None:
    said = [frame(TEXT, b"a long", fin=False), frame(CONT, b" message", fin=False), frame(CONT, b" in parts")]
    with stage.connected("woven", narrow=True) as (client, provider):
        provider.send(said[0], said[1][:4])
        assert client.exactly(len(said[0]) + 4) == said[0] + said[1][:4]
        client.send(masked(TEXT, create("gpt-6")), masked(PING, b"past it"))
        assert provider.frame().payload == b"past it"
        provider.send(said[1][4:])
        assert client.exactly(len(said[1]) - 4) == said[1][4:]
        provider.send(said[2], frame(TEXT, b"next")[:3])
        assert client.exactly(len(said[2])) == said[2]
        assert client.frame().json()["error"]["code"] == "model_not_allowed"
        provider.send(frame(TEXT, b"next")[3:])
        assert client.frame().payload == b"next"


def test_an_alias_reaches_the_provider_as_the_models_name(stage: Stage) -> None:
    aliased = b'{ "type":"response.create", "x":"best" ,"model" : "best", "input":[{"model":"best"}], "n":1.0}'
    nested = b'{"type": "session.update", "session": { "model":"voice" , "audio":{"input":{"transcription":\
{"model": "best"}}}}}'
    with stage.connected("aliased") as (client, provider):
        client.send(masked(TEXT, aliased), masked(TEXT, nested), masked(TEXT, create()))
        assert provider.frame().payload == aliased.replace(b'"model" : "best"', b'"model" : "gpt-5.4"')
        assert provider.frame().payload == nested.replace(b"voice", b"gpt-realtime").replace(b"best", b"gpt-5.4")
        assert provider.frame().payload == create()


def test_an_alias_in_the_query_reaches_the_provider_as_the_models_name(stage: Stage) -> None:
    with stage.call("aliased", path="/openai/v1/realtime?a=%20b&model=voice") as client:
        head, provider = stage.provider.meet()
        with provider:
            provider.send(switch())
            assert client.head().startswith("HTTP/1.1 101 ")
    assert head.startswith("GET /v1/realtime?a=%20b&model=gpt-realtime HTTP/1.1\r\n")


def test_a_response_can_be_built_upon_in_its_own_room_alone(stage: Stage) -> None:
    with stage.connected("home") as (client, provider):
        client.send(masked(TEXT, create()))
        provider.send(frame(TEXT, created("resp_home")), frame(TEXT, completed(3, 2, "resp_home")))
        wait_for(lambda: b"response.completed" in client.frame().payload)
        client.send(masked(TEXT, create(previous_response_id="resp_home")))
        provider.frame()
        assert provider.frame().json()["previous_response_id"] == "resp_home"
    with stage.connected("elsewhere") as (client, _):
        client.send(masked(TEXT, create(previous_response_id="resp_home")))
        assert client.frame().json()["error"]["code"] == "not_found"


def test_a_revoked_key_ends_the_websocket_at_its_next_turn(stage: Stage) -> None:
    cli = stage.proxy.cli
    key = ApiKey.parse(cli("api-key", "create", "short-lived").stdout.strip())
    with call(stage.proxy.url, f"/rooms/revoked{RESPONSES}", stage.token("revoked", key=key)) as client:
        _, provider = stage.provider.meet()
        with provider:
            provider.send(switch())
            client.head()
            client.send(masked(TEXT, create()))
            assert provider.frame().payload == create()
            cli("api-key", "revoke", key.id, "--yes")
            client.send(masked(TEXT, create()))
            while client.socket not in select([client.socket, provider.socket], [], [], 30)[0]:
                assert provider.frame().payload == create()  # nobody has told the worker yet
                client.send(masked(TEXT, create()))
            answer = client.frame().json()
            assert (answer["status"], answer["error"]["code"]) == (401, "token_revoked_key")
            heard = client.frame()
            assert (heard.opcode, heard.code) == (CLOSE, 1008)


# Usage


def columns(event: dict[str, Any]) -> tuple[Any, ...]:
    names = ("outcome", "model_requested", "model_served", "input_tokens", "output_tokens")
    return tuple(event[name] for name in names)


def test_each_turn_is_an_event(stage: Stage) -> None:
    with stage.connected("turns") as (client, provider):
        for read, written in ((11, 5), (22, 6)):
            client.send(masked(TEXT, create()))
            provider.frame()
            provider.send(frame(TEXT, created()), frame(TEXT, completed(read, written)))
            assert [client.frame().json()["type"] for _ in range(2)] == ["response.created", "response.completed"]
        client.send(masked(TEXT, create()))
        provider.frame()
        failure = {"code": "server_error", "message": "a bad day"}
        provider.send(frame(TEXT, message(type="response.failed", response={"usage": None, "error": failure})))
        client.frame()
        client.send(masked(TEXT, create("gpt-5.4-mini")))
        provider.frame()
        provider.send(frame(TEXT, message(type="error", status=429, error={"code": "rate_limit_exceeded"})))
        client.frame()
    events = stage.events("turns", 4)
    assert [columns(event) for event in events] == [
        ("ok", "gpt-5.4", "gpt-5.4-served", 11, 5),
        ("ok", "gpt-5.4", "gpt-5.4-served", 22, 6),
        ("provider_error", "gpt-5.4", "", 0, 0),
        ("provider_error", "gpt-5.4-mini", "", 0, 0),
    ]
    assert [event["error"] for event in events] == ["", "", "server_error", "rate_limit_exceeded"]
    assert {(event["session"], event["participant"], event["endpoint"]) for event in events} == {
        ("tests", "tester", "/v1/responses")
    }


LEAVE: dict[str, Callable[[Peer, Peer], None]] = {
    "client_closed": lambda client, _: client.socket.close(),
    "client_closed after a goodbye": lambda client, _: client.send(masked(CLOSE, goodbye(1000, ""))),
    "provider_closed": lambda _, provider: provider.socket.close(),
    "provider_closed after a goodbye": lambda _, provider: provider.send(frame(CLOSE, goodbye(1011, "crash"))),
}


@pytest.mark.parametrize("how", LEAVE)
def test_a_turn_that_is_broken_off_says_by_whom(stage: Stage, how: str) -> None:
    room = how.replace(" ", "-")
    with stage.connected(room) as (client, provider):
        client.send(masked(TEXT, create()))
        provider.frame()
        delta = message(type="response.output_text.delta", delta="x" * 40)
        provider.send(frame(TEXT, created()), frame(TEXT, delta))
        client.frame()
        client.frame()
        LEAVE[how](client, provider)
        if how == "client_closed after a goodbye":
            assert provider.frame().code == 1000
            provider.socket.close()
        elif how == "provider_closed":
            heard = client.frame()
            assert (heard.opcode, heard.code) == (CLOSE, 1011)
        elif how == "provider_closed after a goodbye":
            assert client.frame().code == 1011
            provider.socket.close()
        if how.startswith("provider"):
            assert client.has_ended()
        else:
            assert provider.socket.fileno() < 0 or provider.has_ended()
    (event,) = stage.events(room, 1)
    assert columns(event) == (how.split(maxsplit=1)[0], "gpt-5.4", "gpt-5.4-served", 0, 10)
    assert event["estimated"]


def test_a_realtime_session(stage: Stage) -> None:
    with stage.call("realtime", path=REALTIME) as client:
        head, provider = stage.provider.meet()
        with provider:
            assert head.startswith("GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\n")
            provider.send(switch())
            client.head()
            provider.send(frame(TEXT, message(type="session.created", session={"model": "gpt-realtime-served"})))
            asked = message(type="response.create", response={"instructions": "speak"})
            client.send(masked(TEXT, asked))
            assert provider.frame().payload == asked
            heard = message(
                type="conversation.item.input_audio_transcription.completed",
                transcript="hello",
                usage={"type": "tokens", "input_tokens": 8, "output_tokens": 1},
            )
            usage = {"input_tokens": 30, "output_tokens": 20}
            unasked = message(type="response.done", response={"id": "resp_r", "usage": usage})
            odd = message(type="error", error={"code": "invalid_value", "message": "about something else"})
            events = (created(), heard, odd, completed(31, 21, kind="response.done"), created("resp_r"), unasked)
            for event in events:
                provider.send(frame(TEXT, event))
            assert [client.frame().opcode for _ in range(7)] == [TEXT] * 7
    counted = {(event["input_tokens"], event["output_tokens"]): event for event in stage.events("realtime", 3)}
    assert set(counted) == {(31, 21), (8, 1), (30, 20)}
    assert {event["outcome"] for event in counted.values()} == {"ok"}
    assert {event["model_requested"] for event in counted.values()} == {"gpt-realtime"}
    assert counted[31, 21]["request_bytes"] == len(asked)
    assert counted[30, 20]["request_bytes"] == 0


def test_what_a_realtime_provider_begins_counts_towards_the_limits(stage: Stage) -> None:
    stage.proxy.cli("limit", "set", "requests-per-minute", "0", "--room", "limited")
    with stage.connected("limited", path=REALTIME) as (client, provider):
        client.send(masked(TEXT, create("gpt-realtime")))
        while client.socket not in select([client.socket, provider.socket], [], [], 30)[0]:
            provider.frame()  # the limit is not known to the worker yet
            client.send(masked(TEXT, create("gpt-realtime")))
        assert b"has reached its limit of 0 requests a minute" in client.frame().payload
    with stage.connected("limited", path=REALTIME) as (client, provider):
        provider.send(frame(TEXT, created("resp_b")))
        heard = [client.frame() for _ in range(3)]
        assert any(b"has reached its limit of 0 requests a minute" in one.payload for one in heard)
        assert (heard[-1].opcode, heard[-1].code) == (CLOSE, 1008)
        assert provider.has_ended()


# Clients as they are


def test_the_websockets_library_connects_without_what_it_offers(stage: Stage) -> None:
    url = f"ws{stage.proxy.url.removeprefix('http')}/rooms/library{REALTIME}"
    headers = {"Authorization": f"Bearer {stage.token('library')}", "Meshagent-Session": "tests"}

    def talk() -> tuple[str | bytes, str | None, list[Any]]:
        with connect(url, additional_headers=headers, subprotocols=[Subprotocol("realtime")]) as websocket:
            websocket.send(message(type="input_audio_buffer.commit").decode())
            assert websocket.ping().wait(30)
            return websocket.recv(30), websocket.subprotocol, list(websocket.protocol.extensions)

    with ThreadPoolExecutor(1) as pool:
        talked = pool.submit(talk)
        head, provider = stage.provider.meet()
        with provider:
            assert fields_of(head, "sec-websocket-extensions") == []
            provider.send(switch("Sec-WebSocket-Protocol: realtime", key=fields_of(head, "sec-websocket-key")[0]))
            assert provider.frame().payload == message(type="input_audio_buffer.commit")
            ping = provider.frame()
            assert ping.opcode == PING
            provider.send(frame(PONG, ping.payload), frame(TEXT, "schön".encode()))
            provider.send(frame(CLOSE, provider.frame().payload))
            assert talked.result() == ("schön", "realtime", [])


# The library has yet to follow the websockets library's newer way.
@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")
def test_openais_own_library_speaks_realtime(stage: Stage) -> None:
    place = f"{stage.proxy.url.removeprefix('http://')}/rooms/spoken/openai/v1"

    def speak() -> int | None:
        client = OpenAI(
            api_key=stage.token("spoken"),
            base_url=f"http://{place}",
            websocket_base_url=f"ws://{place}",
        )
        extra = {"Meshagent-Session": "tests"}
        with client, client.realtime.connect(model="gpt-realtime", extra_headers=extra) as connection:
            connection.response.create()
            for event in connection:
                if event.type == "response.done":
                    return event.response.usage.output_tokens if event.response.usage else None
        return None

    with ThreadPoolExecutor(1) as pool:
        spoken = pool.submit(speak)
        head, provider = stage.provider.meet()
        with provider:
            assert head.startswith("GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\n")
            assert fields_of(head, "authorization") == [f"Bearer {OPENAI_KEY}"]
            provider.send(switch(key=fields_of(head, "sec-websocket-key")[0]))
            assert provider.frame().json()["type"] == "response.create"
            provider.send(frame(TEXT, created()), frame(TEXT, completed(12, 34, kind="response.done")))
            provider.send(frame(CLOSE, provider.frame().payload))
            assert spoken.result() == 34
    (event,) = stage.events("spoken", 1)
    assert (event["output_tokens"], event["endpoint"], event["agent"]) == (34, "/v1/realtime", "OpenAI")


# Codex

LOST_CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "no_such_tool", "arguments": "{}"}


def answer_codex(provider: Peer, item: dict[str, Any] | None, text: str = "") -> None:
    """Send the events of a response that holds an item, or else a text."""
    numbers = Reported(endpoint="/v1/responses", model="gpt-5.4", input_tokens=40, output_tokens=4)
    events = responses_stream(numbers, text, "gpt-5.4")
    if item is not None:
        events = [
            events[0],
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {**events[-1], "response": {**events[-1]["response"], "output": [item]}},
        ]
    provider.send(*(frame(TEXT, json.dumps(event).encode()) for event in events))


def asked_by_codex(provider: Peer) -> dict[str, Any]:
    """Return the next turn that Codex asks for, after the warming up that it begins a websocket with."""
    while True:
        heard = provider.frame()
        if heard.opcode == TEXT:
            turn: dict[str, Any] = heard.json()
            if turn.get("generate") is not False:
                return turn
            provider.send(frame(TEXT, created("resp_warm")), frame(TEXT, completed(0, 0, "resp_warm")))


def test_codex_fetches_a_new_token_in_the_middle_of_its_work(stage: Stage, agents: Agents) -> None:
    cli = stage.proxy.cli
    key = ApiKey.parse(cli("api-key", "create", "rotated").stdout.strip())
    old, new = stage.token("open", key=key), stage.token("open")
    person = Person(stage.proxy, agents, "codex-websocket")
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(person.ask, "rotating", Question(tokens=(old, new), prompt="ping"))
        head, provider = stage.provider.meet()
        with provider:
            provider.send(switch(key=fields_of(head, "sec-websocket-key")[0]))
            asked_by_codex(provider)
            cli("api-key", "revoke", key.id, "--yes")
            listing = {"authorization": f"Bearer {old}", "meshagent-session": "tests"}
            wait_for(
                lambda: (
                    stage.proxy.request("GET", "/rooms/open/openai/v1/models?client_version=1", listing).status == 401
                )
            )
            answer_codex(provider, LOST_CALL)
            assert provider.has_ended()
        head, provider = stage.provider.meet()
        with provider:
            provider.send(switch(key=fields_of(head, "sec-websocket-key")[0]))
            assert asked_by_codex(provider)["input"][-1]["type"] == "function_call_output"
            answer_codex(provider, None, "all done")
            done = asked.result()
    assert done.result.code == 0, done.shown
    assert done.result.stdout.strip() == "all done"
    assert {request.token for request in done.tries} == {old, new}
    assert {request.websocket for request in done.tries} == {True}
    counted = [event for event in stage.events("open", 4) if event["outcome"] == "ok" and event["input_tokens"]]
    assert [(event["input_tokens"], event["output_tokens"], event["agent"]) for event in counted] == [
        (40, 4, "codex_exec")
    ] * 2


# The end


def test_a_server_that_stops_waits_for_a_turn_and_ends_the_rest(tmp_path: Any, provider: RecordingProvider) -> None:
    home = Home(tmp_path)
    with staged(home, provider) as stage, stage.connected("idle") as (idle, _):
        with stage.connected("busy") as (busy, upstream):
            busy.send(masked(TEXT, create()))
            upstream.frame()
            upstream.send(frame(TEXT, created()))
            busy.frame()
            stage.proxy.process.send_signal(signal.SIGTERM)
            assert idle.frame().code == 1001
            assert idle.has_ended()
            upstream.send(frame(TEXT, completed(7, 3)))
            assert busy.frame().json()["type"] == "response.completed"
            heard = busy.frame()
            assert (heard.opcode, heard.code) == (CLOSE, 1001)
            assert busy.has_ended()
        assert stage.proxy.process.wait(30) == 0
        (event,) = stage.events("busy", 1)
        assert columns(event) == ("ok", "gpt-5.4", "gpt-5.4-served", 7, 3)
