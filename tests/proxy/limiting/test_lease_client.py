"""A store that hangs, or answers with something unforeseen, holds up no request."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.interface import Admission
from meshproxy_cli.proxy.limiting.limiter import StoreLimiter
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine.schema import limit_counters
from meshproxy_cli.store.leases import LeaseAnswer, LeaseRequest
from meshproxy_cli.store.records import LimitKind, LimitScope
from meshproxy_cli.store.store import Store

from .conftest import CALLER, limit
from .test_limiter import wait_until

MANY = 100


class Gate:
    """A real store behind a gate that the test closes."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.open = threading.Event()
        self.open.set()
        self.open_to_many = threading.Event()
        self.open_to_many.set()
        self.asked = 0  # for how much at once, last
        self.error: Exception | None = None

    def exchange(self, holder: str, requests: Sequence[LeaseRequest]) -> tuple[int, tuple[LeaseAnswer, ...]]:
        self.asked = len(requests)
        self.open.wait(30)
        if len(requests) > MANY:
            self.open_to_many.wait(30)
        if self.error is not None:
            raise self.error
        return self.store.leases.exchange(holder, requests)

    def expire(self) -> int:
        return self.store.leases.expire()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    store = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    yield Gate(store)
    store.close()


@pytest.fixture
def limiter(gate: Gate) -> Iterator[StoreLimiter]:
    made = StoreLimiter(gate, "one", lambda event: event)
    made.update([limit(LimitKind.REQUESTS_PER_MINUTE, 1_000_000)])
    made.start()
    yield made
    gate.open.set()
    made.stop()


def ask(limiter: StoreLimiter, caller: Caller = CALLER) -> Admission | ProxyError:
    decision = limiter.admit(caller, "openai", "/v1/responses", 100, "m")
    return decision if isinstance(decision, Admission | ProxyError) else decision.result(timeout=20)


def spent(gate: Gate) -> int:
    with gate.store.session.database.read() as connection:
        return int(connection.execute(sa.select(sa.func.sum(limit_counters.c.spent))).scalar_one() or 0)


def test_a_store_that_hangs_holds_up_nobody_and_counts_once(gate: Gate, limiter: StoreLimiter) -> None:
    assert isinstance(ask(limiter), Admission)
    assert wait_until(lambda: spent(gate) == 1)
    gate.open.clear()
    assert all(isinstance(ask(limiter), Admission) for _ in range(20))
    gate.open.set()
    assert wait_until(lambda: spent(gate) == 21)
    assert isinstance(ask(limiter), Admission)
    assert wait_until(lambda: spent(gate) == 22)


def test_after_a_late_reply_to_some_of_many_all_are_told(gate: Gate, limiter: StoreLimiter) -> None:
    limiter.update([limit(LimitKind.REQUESTS_PER_MINUTE, 1_000_000, LimitScope.PARTICIPANT)])
    people = [replace(CALLER, participant=f"p{number}") for number in range(450)]
    gate.open.clear()
    gate.open_to_many.clear()
    first = limiter.admit(people[0], "openai", "/v1/responses", 100, "m")
    assert wait_until(lambda: gate.asked == 1), "all others come while this one is on its way"
    waiting = [first, *(limiter.admit(person, "openai", "/v1/responses", 100, "m") for person in people[1:])]
    assert all(isinstance(one, Future) and isinstance(one.result(20), Admission) for one in waiting)
    gate.open.set()
    assert wait_until(lambda: gate.asked > MANY), "more are due than go into one message"
    assert isinstance(ask(limiter, replace(CALLER, participant="somebody else")), Admission), "the reply is late"
    gate.open_to_many.set()
    assert wait_until(lambda: spent(gate) == len(people) + 1)


def test_held_locally_the_limit_still_refuses(gate: Gate, limiter: StoreLimiter) -> None:
    limiter.update([limit(LimitKind.REQUESTS_PER_MINUTE, 10)])
    gate.open.clear()
    answers = [ask(limiter) for _ in range(15)]
    assert sum(isinstance(answer, Admission) for answer in answers) in range(10, 16)  # a minute may end meanwhile
    assert any(isinstance(ask(limiter), ProxyError) for _ in range(25))


@pytest.mark.parametrize("error", [RuntimeError("unforeseen"), sa.exc.ProgrammingError("x", {}, Exception())])
def test_an_unforeseen_error_ends_nothing(gate: Gate, limiter: StoreLimiter, error: Exception) -> None:
    gate.error = error
    assert isinstance(ask(limiter), Admission)
    gate.error = None
    assert wait_until(lambda: spent(gate) == 1)


def test_callbacks_come_even_when_it_is_stopped_meanwhile(gate: Gate) -> None:
    limiter = StoreLimiter(gate, "two", lambda event: event)
    limiter.update([limit(LimitKind.CONCURRENT_STREAMS, 5)])
    limiter.start()
    gate.open.clear()
    pending = limiter.admit(CALLER, "openai", "/v1/responses", 100, "m")
    done: list[object] = []
    if not isinstance(pending, Admission | ProxyError):
        pending.add_done_callback(done.append)
        limiter.stop()
        assert wait_until(lambda: len(done) == 1)
    gate.open.set()
