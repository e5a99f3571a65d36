"""Limits, as clients and people at real agents meet them."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from websockets.sync.client import connect

from e2e.provider import RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from fixtures.proxies import Answer, RoomProxy
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

pytestmark = pytest.mark.e2e

CODEX_EXEC = ("exec", "--skip-git-repo-check", "--profile", "meshproxy")


@pytest.fixture(autouse=True)
def _fresh_records(provider: RecordingProvider) -> None:
    provider.forget()


def token(proxy: RoomProxy, room: str, identity: str = "tester") -> str:
    return mint(TokenSpec.for_room(identity, room), proxy.key, now=int(time.time()))


def post(proxy: RoomProxy, room: str, path: str, body: dict[str, Any], *, identity: str = "tester") -> Answer:
    headers = {
        "authorization": f"Bearer {token(proxy, room, identity)}",
        "meshagent-session": "limits",
        "content-type": "application/json",
    }
    return proxy.request("POST", f"/rooms/{room}{path}", headers, json.dumps(body).encode())


RESPONSE = {"model": "gpt-5.4", "input": "ping"}
MESSAGE = {"model": "claude-sonnet-4-6", "max_tokens": 64, "messages": [{"role": "user", "content": "ping"}]}


def at_once(ask: Callable[[], Answer], status: int) -> Answer:
    """Ask until the limit that was just set is known to the server (within a second, as promised)."""
    deadline = time.monotonic() + 15
    while (answer := ask()).status != status and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def test_both_apis_are_refused_in_their_own_shape(room_proxy: RoomProxy) -> None:
    room_proxy.cli("limit", "set", "requests-per-minute", "0", "--room", "closed")
    openai = at_once(lambda: post(room_proxy, "closed", "/openai/v1/responses", RESPONSE), 429)
    anthropic = post(room_proxy, "closed", "/anthropic/v1/messages", MESSAGE)
    compact = post(room_proxy, "closed", "/openai/v1/responses/compact", RESPONSE)
    for answer in (openai, anthropic, compact):
        assert answer.status == 429
        assert answer.headers["x-should-retry"] == "false"
        assert "room 'closed' has reached its limit of 0 requests a minute" in answer.json()["error"]["message"]
    assert openai.json()["error"]["code"] == "rate_limit_exceeded"
    assert anthropic.json()["type"] == "error"
    assert anthropic.json()["error"]["type"] == "rate_limit_error"
    counted = post(room_proxy, "closed", "/anthropic/v1/messages/count_tokens", MESSAGE)
    assert counted.status == 200, "counting tokens is free"


def test_a_budget_ends_a_participant_and_nobody_else(room_proxy: RoomProxy) -> None:
    room_proxy.cli("limit", "set", "usd-per-day", "0", "--participant", "spender")
    refused = at_once(lambda: post(room_proxy, "open", "/anthropic/v1/messages", MESSAGE, identity="spender"), 429)
    assert refused.json()["error"]["type"] == "billing_error"
    assert "participant 'spender' has reached its limit of $0.00 a day" in refused.json()["error"]["message"]
    assert post(room_proxy, "open", "/anthropic/v1/messages", MESSAGE, identity="saver").status == 200


def turn(proxy: RoomProxy, room: str) -> str:
    """Ask for one answer on a websocket; return what is said in the end, "" where there was an answer."""
    headers = {"Authorization": f"Bearer {token(proxy, room)}", "Meshagent-Session": "limits"}
    url = f"{proxy.openai(room).replace('http', 'ws', 1)}/responses"
    with connect(url, additional_headers=headers, open_timeout=60) as websocket:
        websocket.send(json.dumps({"type": "response.create"} | RESPONSE))
        while True:
            event = json.loads(websocket.recv(timeout=60))
            if event["type"] in {"response.completed", "error"}:
                return str(event.get("error", {}).get("message", ""))


def test_a_hundred_at_once_stay_within_a_small_budget_whatever_they_ask(room_proxy: RoomProxy) -> None:
    room = "crowded"
    room_proxy.cli("limit", "set", "usd-per-day", "0", "--room", room)
    at_once(lambda: post(room_proxy, room, "/openai/v1/responses", RESPONSE), 429)
    room_proxy.cli("limit", "set", "usd-per-day", "0.10", "--room", room)
    at_once(lambda: post(room_proxy, room, "/openai/v1/responses", RESPONSE), 200)

    def http(path: str) -> Callable[[], str]:
        def ask() -> str:
            answer = post(room_proxy, room, path, MESSAGE if "messages" in path else RESPONSE)
            return "" if answer.status == 200 else str(answer.json()["error"]["message"])

        return ask

    paths = ("/openai/v1/responses", "/openai/v1/responses/compact", "/anthropic/v1/messages")
    asks = [*map(http, paths), lambda: turn(room_proxy, room)]
    with ThreadPoolExecutor(100) as pool:
        said = list(pool.map(lambda number: asks[number % len(asks)](), range(100)))

    refused = [text for text in said if text]
    assert len(refused) > 50
    assert all(f"The room '{room}' has" in text and "$0.10 a day" in text for text in refused)
    totals = room_proxy.usage("--room", room, requests=102)["totals"]
    assert 0 < totals["cost_usd"] <= 0.105


def test_a_raised_limit_opens_again(room_proxy: RoomProxy) -> None:
    def ask() -> Answer:
        return post(room_proxy, "raised", "/openai/v1/responses", RESPONSE)

    room_proxy.cli("limit", "set", "tokens-per-minute", "0", "--room", "raised")
    assert at_once(ask, 429).status == 429
    room_proxy.cli("limit", "remove", "tokens-per-minute", "--room", "raised")
    assert at_once(ask, 200).status == 200


@pytest.mark.parametrize(
    ("agent", "arguments", "turns"),
    [
        ("codex", (*CODEX_EXEC, "ping"), 1),
        # Over a websocket Codex warms up with a turn before its first one.
        ("codex", (*CODEX_EXEC, "-c", "model_providers.meshproxy.supports_websockets=true", "ping"), 2),
        ("claude", ("-p", "ping"), 1),
    ],
    ids=["codex", "codex-websocket", "claude"],
)
def test_a_person_at_an_agent_reads_why_without_silent_retries(
    room_proxy: RoomProxy,
    agents: Agents,
    request: pytest.FixtureRequest,
    *,
    agent: str,
    arguments: tuple[str, ...],
    turns: int,
) -> None:
    room = f"spent-{request.node.callspec.id}"
    room_proxy.cli("limit", "set", "usd-per-month", "0", "--room", room)
    home: Home = room_proxy.home.with_user(room)
    environ = agents.path(home, agent)
    Cli(home, room_proxy.cli.secrets)("configure", agent, "--room", room, "--yes", environ=environ)
    at_once(lambda: post(room_proxy, room, "/anthropic/v1/messages", MESSAGE), 429)
    before = room_proxy.usage("--room", room, requests=1)["totals"]["requests"]

    done = agents.run(home, agent, *arguments, environ=environ)

    assert f"The room '{room}' has reached its limit of $0.00 a month." in done.stdout + done.stderr
    tries = room_proxy.usage("--room", room, requests=before + 1)["totals"]["requests"] - before
    assert tries <= turns
    assert [each.path for each in room_proxy.provider.requests if each.method == "POST"] == []
