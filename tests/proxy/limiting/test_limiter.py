import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from fixtures.postgres import Postgres
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission
from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome
from meshproxy_cli.store.records import LimitKind, LimitScope

from .conftest import CALLER, Worker, limit, used

Start = Callable[..., Worker]
NOON = 1_795_435_200_000_000


def wait_until(condition: Callable[[], bool], *, limit_s: float = 30) -> bool:
    """Ask again until it holds."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Clock:
    """A clock that the test sets; the database's own follows the real one, so it is patched where it matters."""

    def __init__(self) -> None:
        self.now = NOON
        self._runs_since: int | None = None

    def run(self) -> None:
        """Go on from a few seconds past noon as time does: a worker's clock may lag, and belongs to this minute too."""
        self.now += 5_000_000
        self._runs_since = time.monotonic_ns()

    def __call__(self) -> int:
        elapsed = 0 if self._runs_since is None else (time.monotonic_ns() - self._runs_since) // 1000
        return self.now + elapsed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("meshproxy_cli.store.parts.leases.Leases._now", lambda *_: made())
    return made


def test_without_limits_nothing_is_asked_or_remembered(worker: Start) -> None:
    one = worker()
    assert one.ask() is ADMITTED
    one.limiter.settle(ADMITTED, used(5))
    assert worker(limit(LimitKind.REQUESTS_PER_MINUTE, 1, subject="another room")).ask() is ADMITTED


def test_requests_a_minute_across_workers(worker: Start, clock: Clock) -> None:
    workers = [worker(limit(LimitKind.REQUESTS_PER_MINUTE, 10), clock=clock) for _ in range(3)]
    answers = [workers[number % 3].ask() for number in range(15)]
    assert [isinstance(answer, Admission) for answer in answers] == [True] * 10 + [False] * 5
    refused = answers[-1]
    assert isinstance(refused, ProxyError)
    assert (refused.status, refused.code, refused.retry) == (429, "rate_limit_exceeded", False)
    assert "room 'lab'" in refused.message
    assert "10 requests a minute" in refused.message
    assert "12:01 UTC, in 60 seconds" in refused.message
    assert dict(refused.headers) == {"retry-after": "60"}

    clock.now += 59_000_000
    assert isinstance(workers[0].ask(), ProxyError)
    clock.now += 1_000_000
    assert isinstance(workers[0].ask(), Admission)


def test_each_room_has_its_own_and_a_name_beats_the_rule(worker: Start, clock: Clock) -> None:
    rpm = LimitKind.REQUESTS_PER_MINUTE
    one = worker(limit(rpm, 1), limit(rpm, 3, subject="big"), clock=clock)

    def admitted(room: str) -> int:
        return sum(isinstance(one.ask(replace(CALLER, room=room)), Admission) for _ in range(5))

    assert (admitted("a"), admitted("b"), admitted("big")) == (1, 1, 3)


def test_sessions_of_the_same_name_in_two_rooms_are_two(worker: Start, clock: Clock) -> None:
    one = worker(limit(LimitKind.REQUESTS_PER_MINUTE, 1, LimitScope.SESSION), clock=clock)
    answers = [one.ask(replace(CALLER, room=room)) for room in ("a", "b", "a")]
    assert [isinstance(answer, Admission) for answer in answers] == [True, True, False]
    assert "session 'codex' of room 'a'" in answers[2].message  # type: ignore[union-attr]


def test_every_limit_must_have_enough_and_a_refusal_takes_from_none(worker: Start, clock: Clock) -> None:
    rpm = LimitKind.REQUESTS_PER_MINUTE
    one = worker(limit(rpm, 3, LimitScope.PROJECT, ""), limit(rpm, 1, LimitScope.PARTICIPANT), clock=clock)
    ann, bob, eve = (replace(CALLER, participant=name) for name in ("ann", "bob", "eve"))
    answers = [one.ask(caller) for caller in (ann, ann, ann, ann, bob, eve)]
    assert [isinstance(answer, Admission) for answer in answers] == [True, False, False, False, True, True]
    last = one.ask(replace(CALLER, participant="zoe"))
    assert isinstance(last, ProxyError)
    assert "This project" in last.message


@pytest.mark.usefixtures("never_away")
def test_tokens_are_reserved_and_settled(worker: Start, clock: Clock) -> None:
    one = worker(limit(LimitKind.TOKENS_PER_MINUTE, 10_000), clock=clock)
    first = one.ask(size=4000)
    assert isinstance(first, Admission)
    one.limiter.settle(first, used(9_999))
    second = one.ask(size=40_000)
    assert isinstance(second, Admission), "one request at a time goes on with what is left"
    one.limiter.settle(second, used(5))
    refused = one.ask()
    assert isinstance(refused, ProxyError)
    assert "10,000 tokens a minute" in refused.message


@pytest.mark.parametrize("kind", list(LimitKind))
def test_a_limit_of_nothing_refuses_everything(worker: Start, clock: Clock, kind: LimitKind) -> None:
    assert isinstance(worker(limit(kind, 0), clock=clock).ask(), ProxyError)


def test_streams_are_free_again_when_they_end(worker: Start, clock: Clock) -> None:
    clock.run()
    workers = [worker(limit(LimitKind.CONCURRENT_STREAMS, 3), clock=clock) for _ in range(2)]
    held = [workers[number % 2].ask() for number in range(3)]
    assert all(isinstance(each, Admission) for each in held)
    refused = workers[0].ask()
    assert isinstance(refused, ProxyError)
    assert "3 requests at the same time" in refused.message
    workers[0].limiter.settle(held[0], used())  # type: ignore[arg-type]
    assert wait_until(lambda: isinstance(workers[1].ask(), Admission))


def test_a_budget_counts_money_and_says_until_when(worker: Start, clock: Clock) -> None:
    one = worker(limit(LimitKind.USD_PER_DAY, "2.50", LimitScope.PARTICIPANT, "ann"), clock=clock)
    for _ in range(5):
        answer = one.ask()
        assert isinstance(answer, Admission)
        one.limiter.settle(answer, used(10, "0.5"))
    refused = one.ask()
    assert isinstance(refused, ProxyError)
    assert (refused.status, refused.code) == (429, "budget_exceeded")
    assert "participant 'ann'" in refused.message
    assert "$2.50 a day" in refused.message
    assert "24 November 2026, 00:00 UTC" in refused.message
    assert isinstance(one.ask(replace(CALLER, participant="bob")), Admission)
    one.limiter.update([limit(LimitKind.USD_PER_DAY, "5", LimitScope.PARTICIPANT, "ann")])
    assert isinstance(one.ask(), Admission), "a raised budget counts at once"


@pytest.mark.parametrize("kind", [LimitKind.USD_PER_DAY, LimitKind.TOKENS_PER_MINUTE])
def test_what_is_only_reserved_is_not_said_to_be_gone_until_tomorrow(
    worker: Start, clock: Clock, kind: LimitKind
) -> None:
    clock.run()
    one = worker(limit(kind, "0.01" if kind is LimitKind.USD_PER_DAY else 100), clock=clock)
    running = one.ask()
    assert isinstance(running, Admission)
    refused = one.ask()
    assert isinstance(refused, ProxyError)
    assert "reserved for requests that are under way. Try again when they have ended." in refused.message
    assert "UTC" not in refused.message
    assert refused.headers == ()
    one.limiter.settle(running, used(10, "0.001"))
    assert wait_until(lambda: isinstance(one.ask(), Admission))


def test_a_soft_budget_warns(worker: Start, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    one = worker(limit(LimitKind.USD_PER_MONTH, 1, hard=False), clock=clock)
    first = one.ask()
    assert isinstance(first, Admission)
    assert first.warnings == ()
    one.limiter.settle(first, used(10, "1.25"))
    one.limiter.sync()
    second = one.ask()
    assert isinstance(second, Admission)
    assert second.warnings == ("The room 'lab' has reached its limit of $1.00 a month.",)
    one.limiter.settle(second, used(10, "1.25"))
    one.limiter.sync()
    assert [record.message for record in caplog.records] == [
        "The room 'lab' has reached its limit of $1.00 a month. Nothing is refused: it only warns."
    ]


@pytest.mark.parametrize(
    ("event", "left"),
    [
        (used(1000, None), False),  # no price: that of a large model
        (used(0, None, outcome=Outcome.PROVIDER_ERROR), True),
        (used(0, None, metered=False), False),  # what was reserved
    ],
)
def test_an_unpriced_request_is_never_free(worker: Start, clock: Clock, *, event: object, left: bool) -> None:
    one = worker(limit(LimitKind.USD_PER_DAY, "0.001"), clock=clock)
    first = one.ask()
    assert isinstance(first, Admission)
    one.limiter.settle(first, event)  # type: ignore[arg-type]
    one.limiter.sync()
    assert isinstance(one.ask(), Admission) is left


def test_what_is_free_is_not_counted(worker: Start, clock: Clock) -> None:
    one = worker(limit(LimitKind.REQUESTS_PER_MINUTE, 1), clock=clock)
    for _ in range(3):
        assert one.limiter.admit(CALLER, "anthropic", "/v1/messages/count_tokens", 10, "m") is ADMITTED
    assert isinstance(one.ask(), Admission)
    assert isinstance(one.limiter.admit(CALLER, "openai", "/v1/responses/compact", 10, "m"), ProxyError) or isinstance(
        one.ask(), ProxyError
    )


def test_giving_up_gives_back(worker: Start, clock: Clock) -> None:
    one = worker(limit(LimitKind.CONCURRENT_STREAMS, 1), clock=clock)
    for _ in range(20):
        pending = one.limiter.admit(CALLER, "openai", "/v1/responses", 10, "m")
        if isinstance(pending, Admission):
            one.limiter.settle(pending, used())
        elif not isinstance(pending, ProxyError):
            one.limiter.abandon(pending)
        clock.now += 300_000
    assert isinstance(one.ask(), Admission)


def test_names_that_no_database_takes(worker: Start, clock: Clock) -> None:
    one = worker(limit(LimitKind.USD_PER_DAY, 1, LimitScope.PARTICIPANT), clock=clock)
    for name in ("a\0b", "a\x1fb", "", "\N{SNOWMAN}", "x" * 5000):
        assert isinstance(one.ask(replace(CALLER, participant=name)), Admission)


def test_stopping_gives_leases_back_and_lets_nobody_wait(worker: Start, clock: Clock) -> None:
    one, two = (worker(limit(LimitKind.CONCURRENT_STREAMS, 5), clock=clock) for _ in range(2))
    held = [one.ask() for _ in range(5)]
    for each in held:
        one.limiter.settle(each, used())  # type: ignore[arg-type]
    one.stop()
    assert all(isinstance(two.ask(), Admission) for _ in range(5))


def load(
    workers: list[Worker], *, requests: int, cost: Callable[[Random], tuple[int, Decimal]]
) -> tuple[int, int, Decimal]:
    """Ask as a hundred clients at once; return how many were admitted, and the tokens and money they used."""
    lock, total = threading.Lock(), [0, 0, Decimal(0)]

    def client(number: int) -> None:
        chance, one = Random(number), workers[number % len(workers)]
        for _ in range(requests // 100):
            answer = one.ask(size=chance.randrange(2_000, 60_000))
            if isinstance(answer, ProxyError):
                continue
            time.sleep(chance.random() / 200)
            tokens, dollars = cost(chance)
            one.limiter.settle(answer, used(tokens, str(dollars)))
            with lock:
                total[0] += 1
                total[1] += tokens
                total[2] += dollars

    with ThreadPoolExecutor(100) as pool:
        list(pool.map(client, range(100)))
    return total[0], total[1], total[2]


def spread(chance: Random) -> tuple[int, Decimal]:
    tokens = int(chance.expovariate(1 / 6000))
    return tokens, tokens * Decimal("0.000003")


@pytest.fixture
def never_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the store however slow a busy machine makes it: what happens while it is away is another test's part."""
    monkeypatch.setattr("meshproxy_cli.proxy.limiting.limiter._STORE_S", 20.0)
    monkeypatch.setattr("meshproxy_cli.proxy.limiting.limiter.PATIENCE_S", 4.0)  # the last requests wait for so long


@pytest.mark.thorough
@pytest.mark.usefixtures("never_away")
@pytest.mark.parametrize(
    ("kind", "amount", "index"),
    [
        (LimitKind.REQUESTS_PER_MINUTE, 700, 0),
        (LimitKind.TOKENS_PER_MINUTE, 3_000_000, 1),
        (LimitKind.USD_PER_DAY, 9, 2),
    ],
)
def test_at_full_load_limits_hold_within_five_percent(
    worker: Start, clock: Clock, kind: LimitKind, amount: int, index: int
) -> None:
    workers = [worker(limit(kind, amount), clock=clock) for _ in range(4)]
    clock.run()
    total = load(workers, requests=2000, cost=spread)
    assert amount * 0.8 <= total[index] <= amount * 1.05


def test_without_the_store_requests_go_on_and_limits_are_held_locally(own_postgres: Postgres) -> None:
    url = own_postgres.create_database()
    one = Worker(open_store(url), "one", (limit(LimitKind.REQUESTS_PER_MINUTE, 1000),))
    assert isinstance(one.ask(), Admission)
    own_postgres.stop()
    assert all(isinstance(one.ask(), Admission) for _ in range(50))
    one.limiter.update([limit(LimitKind.REQUESTS_PER_MINUTE, 0)])
    assert isinstance(one.ask(), ProxyError)
    one.limiter.update([limit(LimitKind.REQUESTS_PER_MINUTE, 1000)])
    own_postgres.start()
    assert isinstance(one.ask(), Admission)
    one.stop()
