"""Sums of a batch of events, by hour and by day, as they are added to the roll-ups."""

import hashlib
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from meshproxy_cli.store.eventrows import measures
from meshproxy_cli.store.schema import DIMENSIONS, MEASURES

HOUR = 3600 * 1_000_000
DAY = 24 * HOUR
#: The most that a sum becomes: an overflow would hold up every later event.
FULL = 2**62

Group = tuple[int, tuple[str, ...]]
Sums = dict[Group, list[int]]

_dimensions = itemgetter(*DIMENSIONS)


def by_hour(rows: Iterable[Mapping[str, Any]]) -> Sums:
    """Add rows of `usage_events` up by hour and dimensions."""
    sums: Sums = {}
    for row in rows:
        began = row["started_at"]
        _add(sums, (began - began % HOUR, _dimensions(row)), measures(row))
    return sums


def by_day(hours: Sums) -> Sums:
    """Add hours up to days (UTC)."""
    sums: Sums = {}
    for (bucket, dimensions), amounts in hours.items():
        _add(sums, (bucket - bucket % DAY, dimensions), amounts)
    return sums


def _add(sums: Sums, group: Group, amounts: Iterable[int]) -> None:
    total = sums.get(group)
    sums[group] = [*amounts] if total is None else [old + new for old, new in zip(total, amounts, strict=True)]


def to_rows(sums: Sums) -> list[dict[str, Any]]:
    """Return rows of a roll-up, in the order of its key: two writers then wait for each other and never deadlock."""
    rows = [
        {
            "bucket": bucket,
            "series": series_of(dimensions),
            **dict(zip(DIMENSIONS, dimensions, strict=True)),
            **{name: min(amount, FULL) for name, amount in zip(MEASURES, amounts, strict=True)},
        }
        for (bucket, dimensions), amounts in sums.items()
    ]
    return sorted(rows, key=itemgetter("bucket", "series"))


def added(old: sa.ColumnElement[int], new: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """Return a sum in SQL that stays at `FULL`."""
    full: sa.ColumnElement[int] = sa.literal_column(str(FULL), sa.BigInteger)
    return sa.case((old > full - new, full), else_=old + new)


def series_of(dimensions: tuple[str, ...]) -> bytes:
    """Return the key of a roll-up's dimensions: each with its length in front, so that no two texts run together."""
    text = "".join(f"{len(part)}:{part}" for part in dimensions).encode()
    return hashlib.blake2b(text, digest_size=16).digest()
