"""What is asked for on a websocket, and what is written down about it."""

from collections.abc import Callable, Iterator
from select import select

import pytest

from e2e.provider import RecordingProvider
from e2e.websocket_peers import (
    CLOSE,
    CONT,
    PING,
    TEXT,
    Peer,
    call,
    completed,
    create,
    created,
    frame,
    goodbye,
    masked,
    message,
    switch,
)
from e2e.websocket_server import REALTIME, RESPONSES, Stage, columns, staged, wait_for
from fixtures.commands import Home
from meshproxy_cli.tokens.apikey import ApiKey

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, provider: RecordingProvider) -> Iterator[Stage]:
    with staged(Home(tmp_path_factory.mktemp("websockets")), provider) as running:
        running.proxy.cli("room", "create", "aliased", "--alias", "best=gpt-5.4", "--alias", "voice=gpt-realtime")
        yield running


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
