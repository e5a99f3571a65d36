"""Sums of a batch of events by hour and by day, to be added to the roll-ups."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from meshproxy_cli.store.engine.eventrows import FAILED, PLACES, EventRow
from meshproxy_cli.store.engine.schema import DIMENSIONS, MEASURES

HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
#: The maximum of a sum: an overflow would block every later event.
FULL = 2**62

Group = tuple[int, tuple[str, ...]]
Sums = dict[Group, list[int]]

_FAILED = frozenset(outcome.value for outcome in FAILED)
_dimensions = itemgetter(*(PLACES[name] for name in DIMENSIONS))
_measured = itemgetter(
    *(
        PLACES[name]
        for name in (
            "started_at",
            "input_tokens",
            "cached_input_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "output_tokens",
            "reasoning_tokens",
            "cost",
            "estimated",
            "audio_seconds",
            "outcome",
            "price_estimated",
            "web_searches",
        )
    )
)


def by_hour(rows: Iterable[EventRow]) -> Sums:
    """Sum up rows of `usage_events` by hour and dimensions, in the order of `schema.MEASURES`."""
    sums: Sums = {}
    for row in rows:
        (
            began,
            read,
            cached,
            short,
            long,
            wrote,
            reasoned,
            cost,
            estimated,
            audio,
            outcome,
            price_estimated,
            searches,
        ) = _measured(row)
        group = (began - began % HOUR, _dimensions(row))
        total = sums.get(group)
        if total is None:
            total = sums[group] = [0] * len(MEASURES)
        total[0] += 1
        total[1] += read
        total[2] += cached
        total[3] += short + long
        total[4] += wrote
        total[5] += reasoned
        if cost is not None:
            total[6] += cost
            total[7] += 1
        elif read or wrote or audio:
            total[9] += 1
        if estimated:
            total[8] += 1
        if outcome in _FAILED:
            total[10] += 1
        if price_estimated:
            total[11] += 1
        total[12] += searches
    return sums


def by_day(hours: Sums) -> Sums:
    """Sum up hours to days (UTC)."""
    sums: Sums = {}
    for (bucket, dimensions), amounts in hours.items():
        group = (bucket - bucket % DAY, dimensions)
        total = sums.get(group)
        sums[group] = amounts if total is None else [old + new for old, new in zip(total, amounts, strict=True)]
    return sums


def to_rows(sums: Sums) -> list[tuple[Any, ...]]:
    """Return rows of a roll-up sorted by key, so that concurrent writers never deadlock."""
    return sorted(
        (bucket, series_of(dimensions), *dimensions, *(amounts if max(amounts) <= FULL else _cut(amounts)))
        for (bucket, dimensions), amounts in sums.items()
    )


def _cut(amounts: Iterable[int]) -> list[int]:
    return [min(amount, FULL) for amount in amounts]


def added(old: sa.ColumnElement[int], new: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return a sum in SQL that stays at `FULL`."""
    full: sa.ColumnElement[int] = sa.literal_column(str(FULL), sa.BigInteger)
    return sa.case((old > full - new, full), else_=old + new)


@lru_cache(maxsize=4096)
def series_of(dimensions: tuple[str, ...]) -> bytes:
    """Return a hash of a roll-up's dimensions; each is prefixed with its length, so that none collide."""
    text = "".join(f"{len(part)}:{part}" for part in dimensions).encode()
    return hashlib.blake2b(text, digest_size=16).digest()
