import functools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import sqlalchemy as sa

from fixtures.store_events import event
from meshproxy_cli.store.engine.database import from_micros, now_micros
from meshproxy_cli.store.engine.schema import limit_counters, limit_leases
from meshproxy_cli.store.leases import Counter, LeaseAnswer, LeaseRequest, window_end, window_start
from meshproxy_cli.store.parts import leases
from meshproxy_cli.store.records import LimitKind, LimitScope
from meshproxy_cli.store.store import Store

Open = Callable[..., Store]
ROOM = Counter("project", LimitScope.ROOM, LimitKind.REQUESTS_PER_MINUTE, name="room")


@functools.cache
def window(kind: LimitKind) -> int:
    """Return one window for the whole run: the next one may begin at any moment."""
    return window_start(kind, now_micros())


def ask(counter: Counter = ROOM, amount: int | None = 100, **numbers: int) -> LeaseRequest:
    start = window(counter.kind)
    end = window_end(counter.kind, start)
    return LeaseRequest(counter=counter, window_start=start, window_end=end, amount=amount, **numbers)


def exchange(store: Store, holder: str, request: LeaseRequest) -> LeaseAnswer:
    (answer,) = store.leases.exchange(holder, [request])[1]
    return answer


def test_what_is_granted_is_kept_from_others(store: Store) -> None:
    assert exchange(store, "a", ask(needed=60, wanted=60)) == LeaseAnswer(spare=60, spent=0, left=40, others=0)
    assert exchange(store, "b", ask(needed=60, wanted=60)) == LeaseAnswer(spare=40, spent=0, left=0, others=60)
    assert exchange(store, "c", ask(needed=1, wanted=1)) == LeaseAnswer(spare=0, spent=0, left=0, others=100)


def test_what_is_given_back_can_be_had_again(store: Store) -> None:
    exchange(store, "a", ask(needed=100, wanted=100))
    assert exchange(store, "a", ask(spent=30)) == LeaseAnswer(spare=0, spent=30, left=70, others=0)
    assert exchange(store, "b", ask(needed=90, wanted=90)) == LeaseAnswer(spare=70, spent=30, left=0, others=0)


def test_what_runs_is_never_taken_away(store: Store) -> None:
    exchange(store, "a", ask(in_flight=100))
    answer = exchange(store, "a", ask(amount=10, in_flight=100, needed=1, wanted=1))
    assert (answer.spare, answer.left) == (0, -90)
    assert exchange(store, "b", ask(needed=1, wanted=1)).others == 100


def test_a_soft_limit_only_counts(store: Store) -> None:
    assert exchange(store, "a", ask(amount=None, spent=500, wanted=50)) == LeaseAnswer(
        spare=0, spent=500, left=0, others=0
    )


def test_answers_come_in_the_order_of_the_requests(store: Store) -> None:
    counters = [replace(ROOM, name=name) for name in ("z", "a", "m")]
    requests = [ask(counter, wanted=number + 1) for number, counter in enumerate(counters)]
    now, answers = store.leases.exchange("a", requests)
    assert [answer.spare for answer in answers] == [1, 2, 3]
    assert abs(now - now_micros()) < 60_000_000
    assert store.leases.exchange("a", []) == (pytest.approx(now, abs=60_000_000), ())


def test_a_hundred_workers_together_never_get_more_than_there_is(store: Store, open_another: Open) -> None:
    stores = [store, open_another(), open_another(), open_another()]
    counters = [ROOM, replace(ROOM, name="other"), replace(ROOM, scope=LimitScope.PROJECT, name="")]
    amount = 5000

    def work(number: int) -> list[int]:
        """Take and use what is granted, as a worker would, in an order of its own; return what was used."""
        chance = random.Random(number)
        used, held = [0] * 3, [0] * 3
        for _ in range(5):
            order = chance.sample(range(3), 3)
            spent = [chance.randrange(held[each] + 1) for each in range(3)]
            requests = [ask(counters[each], amount, spent=spent[each], needed=20, wanted=60) for each in order]
            answers = stores[number % 4].leases.exchange(f"w{number}", requests)[1]
            for each, answer in zip(order, answers, strict=True):
                used[each] += spent[each]
                held[each] = answer.spare
        return [total + left for total, left in zip(used, held, strict=True)]

    with ThreadPoolExecutor(12) as pool:
        totals = [sum(each) for each in zip(*pool.map(work, range(100)), strict=True)]
    # Whatever was used or is still held, by all together:
    assert all(total <= amount for total in totals), totals
    with store.session.database.read() as connection:
        for row in connection.execute(sa.select(limit_counters)):
            leased = connection.execute(
                sa.select(sa.func.sum(limit_leases.c.amount)).where(limit_leases.c.counter == row.counter)
            ).scalar_one()
            assert row.reserved == leased
    assert min(totals) > amount * 0.9


def test_leases_of_the_dead_come_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0)
    exchange(store, "dead", ask(needed=100, wanted=100))
    monkeypatch.undo()
    exchange(store, "alive", ask(in_flight=1))
    assert exchange(store, "other", ask(needed=1, wanted=1)).spare == 0
    assert store.leases.expire() == 1
    assert store.leases.expire() == 0
    assert exchange(store, "other", ask(needed=99, wanted=99)) == LeaseAnswer(spare=99, spent=0, left=0, others=1)


def test_a_worker_that_was_thought_dead_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0)
    exchange(store, "slow", ask(needed=10, wanted=10))
    store.leases.expire()
    monkeypatch.undo()
    exchange(store, "slow", ask(in_flight=10))
    assert exchange(store, "other", ask(needed=100, wanted=100)) == LeaseAnswer(spare=90, spent=0, left=0, others=10)


def test_old_windows_are_forgotten(store: Store) -> None:
    old = replace(ask(spent=1), window_start=1, window_end=60_000_001)
    exchange(store, "a", replace(old))
    with store.session.database.write() as connection:
        connection.execute(sa.update(limit_counters).values(expires_at=1))
    exchange(store, "a", ask(spent=1))
    store.leases.expire()
    with store.session.database.read() as connection:
        windows = list(connection.execute(sa.select(limit_counters.c.window_start)).scalars())
    assert windows == [ask().window_start]


BUDGETS = [
    Counter("project", LimitScope.PROJECT, LimitKind.USD_PER_DAY),
    Counter("project", LimitScope.ROOM, LimitKind.USD_PER_DAY, name="a"),
    Counter("project", LimitScope.ROOM, LimitKind.USD_PER_DAY, name="c"),
    Counter("project", LimitScope.SESSION, LimitKind.USD_PER_DAY, room="a", name="s"),
    Counter("project", LimitScope.PARTICIPANT, LimitKind.USD_PER_DAY, name="ann"),
    Counter("project", LimitScope.PARTICIPANT, LimitKind.USD_PER_MONTH, name="ann"),
    Counter("other", LimitScope.PROJECT, LimitKind.USD_PER_DAY),
]


def today() -> datetime:
    return from_micros(window(LimitKind.USD_PER_DAY))


def test_a_new_budget_begins_with_what_the_ledger_has(store: Store) -> None:
    month = from_micros(window(LimitKind.USD_PER_MONTH))
    store.events.add(
        [
            event(1, started_at=today(), room="a", session="s", participant="ann", cost_usd=Decimal("1.5")),
            event(2, started_at=today(), room="b", session="s", participant="ann", cost_usd=Decimal("0.25")),
            event(3, started_at=today(), room="a", session="t", participant="bob", cost_usd=None),
            event(4, started_at=month - timedelta(days=1), room="a", session="s", cost_usd=Decimal(100)),
        ]
    )
    requests = [ask(counter, amount=10**13, spent=1) for counter in BUDGETS]
    for _ in range(2):
        answers = store.leases.exchange("a", requests)[1]
    found = [Decimal(answer.spent - 2) / 10**12 for answer in answers]
    assert found == [Decimal(each) for each in ("1.75", "1.5", "0", "1.5", "1.75", "1.75", "0")]


def test_a_dead_workers_spending_is_found_in_the_ledger(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0)
    budget = ask(BUDGETS[0], amount=10**13, needed=10**12, wanted=10**12)
    exchange(store, "dead", budget)
    monkeypatch.undo()
    store.events.add([event(1, started_at=today(), cost_usd=Decimal(3))])
    assert store.leases.expire() == 1
    assert exchange(store, "other", ask(BUDGETS[0], amount=10**13)).spent == 3 * 10**12
