"""A limit on models, and a room's isolation, against somebody with a token for the room."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from websockets.sync.client import connect

from e2e.provider import Behavior, RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from fixtures.proxies import RoomProxy, running_proxy
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec, parse_spec

pytestmark = pytest.mark.e2e

NARROW = """
version: v1
kind: ParticipantToken
identity: tester
room: ROOM
api: {llm: {models: [openai/gpt-5.4, anthropic/claude-sonnet-4-6]}}
"""
RESPONSES, MESSAGES = "openai/v1/responses", "anthropic/v1/messages"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, provider: RecordingProvider) -> Iterator[RoomProxy]:
    with running_proxy(Home(tmp_path_factory.mktemp("isolation")), provider) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(provider: RecordingProvider) -> None:
    provider.forget()
    provider.behavior = Behavior()


def headers(proxy: RoomProxy, room: str, *, narrow: bool = False) -> dict[str, str]:
    spec = parse_spec(NARROW.replace("ROOM", room)) if narrow else TokenSpec.for_room("tester", room)
    token = mint(spec, proxy.key, now=int(time.time()))
    return {"Authorization": f"Bearer {token}", "Meshagent-Session": "s", "Content-Type": "application/json"}


def ask(
    proxy: RoomProxy, room: str, path: str, more: Mapping[str, Any], *, narrow: bool = False
) -> tuple[int, dict[str, Any]]:
    model = "gpt-5.4" if path.startswith("openai") else "claude-sonnet-4-6"
    body = {"model": model, **({"input": "hi"} if path == RESPONSES else {"max_tokens": 9, "messages": []}), **more}
    answer = proxy.request(
        "POST", f"/rooms/{room}/{path}", headers(proxy, room, narrow=narrow), json.dumps(body).encode()
    )
    text = answer.body.decode()
    return answer.status, json.loads(text) if text.startswith("{") else {"events": text}


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        (RESPONSES, {"input": [{"type": "additional_tools", "tools": [{"type": "image_generation"}]}]}, 403),
        (RESPONSES, {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "agent_swarm"}]}]}, 403),
        (RESPONSES, {"tools": [{"type": "image_generation", "model": "gpt-5.4", "svg": {"model": "gpt-6"}}]}, 403),
        (RESPONSES, {"tools": [{"type": "image_generation", "Model": "gpt-6"}]}, 403),
        (RESPONSES, {"models": ["gpt-6"]}, 403),
        (RESPONSES + "?model=gpt-6", {}, 400),
        (MESSAGES, {"fallbacks": "default"}, 403),
        (MESSAGES, {"fallbacks": ["gpt-5-pro"]}, 403),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "rs_of_another_room"}]}, 404),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}, 404),
        (MESSAGES, {"container": "container_of_another_room"}, 404),
    ],
)
def test_nothing_that_is_refused_reaches_the_provider(
    proxy: RoomProxy, path: str, more: dict[str, Any], status: int
) -> None:
    assert ask(proxy, "hold", path, more, narrow=True)[0] == status
    assert proxy.provider.requests == []


def test_a_host_allows_a_tool_for_a_room(proxy: RoomProxy) -> None:
    more = {"tools": [{"type": "image_generation"}]}
    status, refused = ask(proxy, "painters", RESPONSES, more, narrow=True)
    assert (status, refused["error"]["code"]) == (403, "tool_not_allowed")
    command = refused["error"]["message"].partition("meshproxy ")[2].split()
    proxy.cli(command[0], "create", *command[2:])
    deadline = time.monotonic() + 30
    while (found := ask(proxy, "painters", RESPONSES, more, narrow=True))[0] != 200:
        assert time.monotonic() < deadline, found


@pytest.mark.parametrize("stream", [False, True])
def test_items_of_an_answer_are_the_rooms(proxy: RoomProxy, stream: bool) -> None:  # noqa: FBT001 (a parameter)
    status, answer = ask(proxy, "makers", RESPONSES, {"stream": stream})
    assert status == 200
    if stream:
        last = answer["events"].rpartition("event: response.completed\ndata: ")[2]
        answer = json.loads(last.partition("\n")[0])["response"]
    follow_up = {"input": [{"type": "item_reference", "id": answer["output"][0]["id"]}]}
    assert ask(proxy, "makers", RESPONSES, follow_up)[0] == 200
    assert ask(proxy, "others", RESPONSES, follow_up)[0] == 404


def test_items_of_a_websockets_answer_are_the_rooms(proxy: RoomProxy) -> None:
    def turn(room: str, **more: Any) -> dict[str, Any]:
        url = f"{proxy.url.replace('http', 'ws')}/rooms/{room}/{RESPONSES}"
        sent = {"type": "response.create", "model": "gpt-5.4", "input": "hi", **more}
        fields = {name: value for name, value in headers(proxy, room).items() if name != "Content-Type"}
        with connect(url, additional_headers=fields, proxy=None) as websocket:
            websocket.send(json.dumps(sent))
            while True:
                event: dict[str, Any] = json.loads(websocket.recv(timeout=30))
                if event["type"] in {"response.completed", "error"}:
                    return event

    item = turn("callers")["response"]["output"][0]["id"]
    follow_up = [{"type": "item_reference", "id": item}]
    assert turn("callers", input=follow_up)["type"] == "response.completed"
    refused = turn("others", input=follow_up)
    assert (refused["type"], refused["status"], refused["error"]["code"]) == ("error", 404, "not_found")


@pytest.mark.parametrize(
    ("agent", "arguments", "model"),
    [
        ("codex", ("exec", "--skip-git-repo-check", "--profile", "meshproxy", "ping"), "gpt-5.4"),
        ("codex", ("exec", "--skip-git-repo-check", "--profile", "meshproxy", "ping"), "gpt-6-sol"),
        ("claude", ("-p", "ping"), "claude-sonnet-4-6"),
        ("pi", ("-p", "ping"), "gpt-5.4"),
        ("opencode", ("run", "--model", "meshproxy/gpt-5.4", "ping"), "gpt-5.4"),
    ],
)
def test_agents_work_in_a_room_that_allows_one_model(
    proxy: RoomProxy, agents: Agents, agent: str, arguments: tuple[str, ...], model: str
) -> None:
    room, protocol = f"{agent}-{model}", "anthropic" if agent == "claude" else "openai"
    proxy.cli("room", "create", room, "--model", f"{protocol}/{model}")
    home = proxy.home.with_user(room)
    environ = agents.path(home, agent)
    Cli(home, proxy.cli.secrets)("configure", agent, "--room", room, "--model", model, "--yes", environ=environ)
    environ |= {"MESHAGENT_ROOM_TOKEN": proxy.token(room)} if agent == "opencode" else {}
    done = agents.run(home, agent, *arguments, environ=environ)
    assert "The provider heard: ping" in done.stdout, done.stderr
    asked = [request for request in proxy.provider.requests if request.method == "POST"]
    assert {request.json()["model"] for request in asked} == {model}
