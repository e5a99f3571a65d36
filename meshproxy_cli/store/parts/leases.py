"""Limits across workers and machines: the counters, and the leases on them.

Each exchange is one transaction that locks its counters' rows in one order (PostgreSQL) or the database (SQLite), so
requests of a hundred workers are granted one after the other. Losing the last ones if the machine fails does no harm,
so there is no disk flush; budgets are then restored from the usage events.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from meshproxy_cli.store.engine.database import now_micros
from meshproxy_cli.store.engine.schema import limit_counters, limit_leases, usage_days
from meshproxy_cli.store.engine.session import Part
from meshproxy_cli.store.leases import (
    LEASE_S,
    NO_WINDOW,
    Counter,
    LeaseAnswer,
    LeaseRequest,
    share,
    window_end,
)
from meshproxy_cli.store.records import BUDGETS, LimitScope

_SECOND = 1_000_000
_KEPT = 24 * 3600 * _SECOND  # how long a counter outlives its window
_COUNTER_KEY = (limit_counters.c.counter, limit_counters.c.window_start)
_LEASE_KEY = (limit_leases.c.counter, limit_leases.c.window_start)
#: The columns of the daily roll-up that identify a counter's usage.
_USAGE_COLUMNS: Mapping[LimitScope, tuple[str, ...]] = {
    LimitScope.PROJECT: (),
    LimitScope.ROOM: ("room",),
    LimitScope.SESSION: ("room", "session"),
    LimitScope.PARTICIPANT: ("participant",),
}

Key = tuple[str, int]


class Leases(Part):
    """Grants workers leases on limits, and takes back those of dead workers."""

    def exchange(self, holder: str, requests: Sequence[LeaseRequest]) -> tuple[int, tuple[LeaseAnswer, ...]]:
        """Settle and renew a worker's leases; return the database's time (microseconds) and the answers."""
        ordered = sorted(requests, key=_key)
        with self.session.database.write(durable=False) as connection:
            now = self._now(connection)
            self._begin_counters(connection, ordered, now)
            counters = _locked(connection, map(_key, ordered))
            mine = _held(connection, holder, map(_key, ordered))
            answers = {
                _key(request): _answer(request, counters[_key(request)], mine.get(_key(request), 0))
                for request in ordered
            }
            if ordered:
                self._write(connection, holder, now, ordered, answers)
        return now, tuple(answers[_key(request)] for request in requests)

    def _now(self, connection: Connection) -> int:
        if not self.session.database.is_postgresql:
            return now_micros()
        return int(connection.execute(sa.text("SELECT extract(epoch FROM clock_timestamp()) * 1000000")).scalar_one())

    def _begin_counters(self, connection: Connection, requests: Sequence[LeaseRequest], now: int) -> None:
        """Insert missing counters; a budget starts with the usage of its window so far."""
        existing = set(_locked(connection, map(_key, requests)))
        missing = [request for request in requests if _key(request) not in existing]
        if not missing:
            return
        spent = _used(connection, missing)
        rows = [
            {
                "counter": request.counter.key,
                "window_start": request.window_start,
                "spent": spent.get(_key(request), 0),
                "reserved": 0,
                "expires_at": _expiry(request, now),
            }
            for request in missing
        ]
        connection.execute(self.session.database.insert(limit_counters).on_conflict_do_nothing(), rows)

    def _write(
        self,
        connection: Connection,
        holder: str,
        now: int,
        requests: Sequence[LeaseRequest],
        answers: Mapping[Key, LeaseAnswer],
    ) -> None:
        held = {_key(request): request.in_flight + answers[_key(request)].spare for request in requests}
        connection.execute(
            sa.update(limit_counters)
            .where(_COUNTER_KEY[0] == sa.bindparam("k"), _COUNTER_KEY[1] == sa.bindparam("w"))
            .values(spent=sa.bindparam("s"), reserved=sa.bindparam("r"), expires_at=sa.bindparam("e")),
            [
                {
                    "k": request.counter.key,
                    "w": request.window_start,
                    "s": answers[_key(request)].spent,
                    "r": answers[_key(request)].others + held[_key(request)],
                    "e": _expiry(request, now),
                }
                for request in requests
            ],
        )
        insert = self.session.database.insert(limit_leases)
        renewed = {"amount": insert.excluded.amount, "expires_at": insert.excluded.expires_at}
        connection.execute(
            insert.on_conflict_do_update(index_elements=["holder", "counter", "window_start"], set_=renewed),
            [
                {
                    "holder": holder,
                    "counter": key,
                    "window_start": window,
                    "amount": amount,
                    "expires_at": now + LEASE_S * _SECOND,
                }
                for (key, window), amount in held.items()
            ],
        )

    def expire(self) -> int:
        """Take back the leases of dead workers and delete old windows; return how many leases. Call every few seconds.

        A dead worker may not have reported what it spent last, so budgets are compared with the usage events.
        """
        with self.session.database.write(durable=False) as connection:
            now = self._now(connection)
            stale = limit_leases.c.expires_at < now
            keys = sorted(
                {(row.counter, row.window_start) for row in connection.execute(sa.select(*_LEASE_KEY).where(stale))}
            )
            _locked(connection, keys)
            dead = connection.execute(
                sa.delete(limit_leases)
                .where(stale, sa.tuple_(*_LEASE_KEY).in_(keys))
                .returning(*_LEASE_KEY, limit_leases.c.amount)
            ).all()
            for row in dead:
                change = sa.update(limit_counters).where(_this((row.counter, row.window_start)))
                connection.execute(change.values(reserved=limit_counters.c.reserved - row.amount))
            _correct_budgets(connection, keys)
            connection.execute(sa.delete(limit_counters).where(limit_counters.c.expires_at < now))
        return len(dead)


def _key(request: LeaseRequest) -> Key:
    return request.counter.key, request.window_start


def _expiry(request: LeaseRequest, now: int) -> int:
    end = now if request.window_start == NO_WINDOW else max(request.window_end, now)
    return end + _KEPT


def _this(key: Key) -> sa.ColumnElement[bool]:
    return sa.and_(_COUNTER_KEY[0] == key[0], _COUNTER_KEY[1] == key[1])


def _locked(connection: Connection, keys: Iterable[Key]) -> dict[Key, tuple[int, int]]:
    """Lock the existing counters in the order of their keys; return `spent` and `reserved` of each."""
    wanted = (
        sa.select(*_COUNTER_KEY, limit_counters.c.spent, limit_counters.c.reserved)
        .where(sa.tuple_(*_COUNTER_KEY).in_(list(keys)))
        .order_by(*_COUNTER_KEY)
        .with_for_update()
    )
    return {(row.counter, row.window_start): (row.spent, row.reserved) for row in connection.execute(wanted)}


def _held(connection: Connection, holder: str, keys: Iterable[Key]) -> dict[Key, int]:
    wanted = sa.select(*_LEASE_KEY, limit_leases.c.amount).where(
        limit_leases.c.holder == holder, sa.tuple_(*_LEASE_KEY).in_(list(keys))
    )
    return {(row.counter, row.window_start): row.amount for row in connection.execute(wanted)}


def _answer(request: LeaseRequest, counter: tuple[int, int], mine: int) -> LeaseAnswer:
    spent, others = counter[0] + request.spent, max(0, counter[1] - mine)
    spare = share(request, spent=spent, others=others)
    left = 0 if request.amount is None else request.amount - spent - others - request.in_flight - spare
    return LeaseAnswer(spare=spare, spent=spent, left=left, others=others)


def _used(connection: Connection, requests: Iterable[LeaseRequest]) -> dict[Key, int]:
    """Return the usage in each budget's window, one query for all counters of a kind."""
    budgets = [request for request in requests if request.counter.kind in BUDGETS]
    found: dict[Key, int] = {}
    for (scope, project, since, until), group in groupby(sorted(budgets, key=_family), key=_family):
        columns = [usage_days.c[name] for name in _USAGE_COLUMNS[scope]]
        members = {_named(request.counter): _key(request) for request in group}
        wanted = (
            sa.select(*columns, sa.func.sum(usage_days.c.cost))
            .where(usage_days.c.project_id == project, usage_days.c.bucket >= since, usage_days.c.bucket < until)
            .where(*([sa.tuple_(*columns).in_(list(members))] if columns else []))
            .group_by(*columns)
        )
        for row in connection.execute(wanted):
            found[members[tuple(row[:-1])]] = int(row[-1] or 0)
    return found


def _family(request: LeaseRequest) -> tuple[LimitScope, str, int, int]:
    return request.counter.scope, request.counter.project_id, request.window_start, request.window_end


def _named(counter: Counter) -> tuple[str, ...]:
    names = {"room": counter.room or counter.name, "session": counter.name, "participant": counter.name}
    return tuple(names[column] for column in _USAGE_COLUMNS[counter.scope])


def _correct_budgets(connection: Connection, keys: Iterable[Key]) -> None:
    for key, window in keys:
        counter = Counter.from_key(key)
        request = LeaseRequest(
            counter=counter, window_start=window, window_end=window_end(counter.kind, window), amount=0
        )
        for spent in _used(connection, [request]).values():
            behind = sa.and_(_this((key, window)), limit_counters.c.spent < spent)
            connection.execute(sa.update(limit_counters).where(behind).values(spent=spent))
