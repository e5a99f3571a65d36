"""The ledger against SIGKILL: no answer that a client has whole lacks its event, and no event is there twice."""

import base64
import http.client
import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from e2e.killable import Killable
from e2e.provider import RecordingProvider
from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome, UsageEvent
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.store import Store
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

ROUNDS = max(2, round(200 * float(os.environ.get("MESHPROXY_TEST_SCALE", "1"))))
LANES = 2
CLIENTS = 3
SHORT_ROUND_S, LONG_ROUND_S = 0.15, 0.7
SHIP_LIMIT_S = 60
MASTER_KEY = b"0123456789abcdef0123456789abcdef"
OPENAI = "/rooms/kill-room/openai/v1"
PROMPT = [{"role": "user", "content": "ping"}]
REQUESTS = (
    (f"{OPENAI}/responses", {"model": "gpt-5.4", "input": "ping", "stream": True}),
    (f"{OPENAI}/responses", {"model": "gpt-5.4", "input": "ping"}),
    (
        f"{OPENAI}/chat/completions",
        {"model": "gpt-5.4", "messages": PROMPT, "stream": True, "stream_options": {"include_usage": True}},
    ),
    (
        "/rooms/kill-room/anthropic/v1/messages",
        {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": PROMPT, "stream": True},
    ),
)


class Client(threading.Thread):
    """Sends requests to a lane's worker and remembers which answers it got to the last byte."""

    def __init__(self, lane: Killable, token: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.complete: list[str] = []
        self.cut = 0
        self.done = threading.Event()
        self._lane = lane
        self._random = random.Random(seed)
        self._headers = {"Authorization": f"Bearer {token}", "Meshagent-Session": "kill"}

    def run(self) -> None:
        while not self.done.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._lane.port, timeout=20)
            try:
                while not self.done.is_set():
                    self._request(connection)
            except (OSError, http.client.HTTPException):
                self.cut += 1
                self.done.wait(0.002)
            finally:
                connection.close()

    def _request(self, connection: http.client.HTTPConnection) -> None:
        path, body = self._random.choice(REQUESTS)
        connection.request("POST", path, json.dumps(body), self._headers)
        answer = connection.getresponse()
        answer.read()  # raises IncompleteRead where the end is missing
        assert answer.status == 200
        self.complete.append(answer.headers["Meshproxy-Request-Id"])


@pytest.mark.e2e
@pytest.mark.timeout(240)
def test_usage_survives_kill(tmp_path: Path) -> None:
    url, spool_dir = f"sqlite:///{tmp_path}/meshproxy.db", tmp_path / "spool"
    store = open_store(url, master_key=MASTER_KEY)
    project = store.projects.ensure()
    key = store.keys.create(project.id, "tests")
    token = mint(TokenSpec.for_room("tester", "kill-room"), key, now=int(time.time()))
    with RecordingProvider() as provider:
        plan = {
            "database_url": url,
            "master_key": base64.b64encode(MASTER_KEY).decode(),
            "spool_dir": str(spool_dir),
            "environ": provider.environment(),
        }
        complete, cut = _load_and_kill(plan, token)
        _move_what_is_left(plan, spool_dir)
    assert list(spool_dir.glob("*.spool")) == []
    events = _all_events(store, project.id)
    store.close()
    assert len(complete) > ROUNDS
    assert cut > ROUNDS / 2  # it was killed while answers were under way
    requests = Counter(event.request_id for event in events)
    assert [identifier for identifier in complete if identifier not in requests] == []
    assert {identifier: number for identifier, number in requests.items() if number > 1} == {}
    _agrees_with_the_provider(events, set(complete), provider)


def _load_and_kill(plan: dict[str, object], token: str) -> tuple[list[str], int]:
    lanes = [Killable(plan) for _ in range(LANES)]
    over = threading.Event()
    shipping = threading.Thread(target=_ship_and_kill, args=(plan, over))
    shipping.start()
    clients: list[Client] = []
    killers = []
    for number, lane in enumerate(lanes):
        mine = [Client(lane, token, seed=100 * number + seed) for seed in range(CLIENTS)]
        clients += mine
        killers.append(threading.Thread(target=_rounds, args=(lane, mine, random.Random(number))))
    for killer in killers:
        killer.start()
    for killer in killers:
        killer.join()
    over.set()
    shipping.join()
    return [identifier for client in clients for identifier in client.complete], sum(client.cut for client in clients)


def _rounds(lane: Killable, clients: list[Client], chance: random.Random) -> None:
    with lane:
        for number in range(ROUNDS // LANES):
            lane.start()
            if number == 0:
                for client in clients:
                    client.start()
            time.sleep(chance.uniform(0, LONG_ROUND_S if number % 3 == 0 else SHORT_ROUND_S))
            lane.kill()
        for client in clients:
            client.done.set()
        for client in clients:
            client.join()


def _ship_and_kill(plan: dict[str, object], over: threading.Event) -> None:
    """Kill one shipper after the other, as they move events to the store."""
    chance = random.Random("shipper")
    with Killable(plan, shipper=True) as lane:
        while not over.is_set():
            lane.start()
            over.wait(chance.uniform(0.05, LONG_ROUND_S))
            lane.kill()


def _move_what_is_left(plan: dict[str, object], spool_dir: Path) -> None:
    """Let one more shipper move what the dead left behind; a store that is busy is asked again later."""
    deadline = time.monotonic() + SHIP_LIMIT_S
    with Killable(plan, shipper=True) as lane:
        lane.start()
        while list(spool_dir.glob("*.spool")) and time.monotonic() < deadline:
            time.sleep(0.05)
        lane.stop()


def _all_events(store: Store, project_id: str) -> list[UsageEvent]:
    return list(store.events.export(UsageQuery(project_id=project_id)))


def _agrees_with_the_provider(events: list[UsageEvent], complete: set[str], provider: RecordingProvider) -> None:
    """Check that every event of a complete answer has the numbers of one answer of the provider, each used once."""
    told = Counter(
        (
            numbers.endpoint,
            numbers.input_tokens,
            numbers.cached_input_tokens,
            numbers.cache_write_5m_tokens,
            numbers.cache_write_1h_tokens,
            numbers.output_tokens,
            numbers.reasoning_tokens,
        )
        for numbers in provider.reported
    )
    exact = [event for event in events if event.outcome is Outcome.OK]
    assert {event.request_id for event in exact} >= complete
    recorded = Counter(
        (
            event.endpoint,
            event.tokens.input_tokens,
            event.tokens.cached_input_tokens,
            event.tokens.cache_write_5m_tokens,
            event.tokens.cache_write_1h_tokens,
            event.tokens.output_tokens,
            event.tokens.reasoning_tokens,
        )
        for event in exact
    )
    assert recorded - told == Counter()
    assert not any(event.estimated for event in exact)
