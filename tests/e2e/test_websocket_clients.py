"""Websockets of clients as they are, and how a server that stops ends them."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from e2e.provider import OPENAI_KEY, RecordingProvider
from e2e.websocket_peers import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Peer,
    completed,
    create,
    created,
    fields_of,
    frame,
    masked,
    message,
    switch,
)
from e2e.websocket_server import REALTIME, Stage, columns, staged, wait_for
from e2e.wire import Reported, responses_stream
from fixtures.agent_sessions import Person, Question
from fixtures.agents import Agents
from fixtures.commands import Home
from meshproxy_cli.tokens.apikey import ApiKey

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, provider: RecordingProvider) -> Iterator[Stage]:
    with staged(Home(tmp_path_factory.mktemp("websockets")), provider) as running:
        yield running


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
