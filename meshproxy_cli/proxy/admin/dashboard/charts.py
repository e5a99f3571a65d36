"""Charts as SVG, laid out here: stacked columns over time. The same numbers stand in a table beside each chart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from meshproxy_cli.store.records import GroupBy

Number = int | Decimal
Writer = Callable[[Number], str]

# Across, everything is in percent of the drawing's width, so that it fits any screen; down, it is in pixels.
HEIGHT = 240
_WIDTH = 100.0
_TOP, _BOTTOM = 12, 26
_GAP = 0.22  # of a column's slot
_MOST_COLUMNS = 800
_MOST_LABELS = 8
# The first digits at which an axis may end, and into how many equal steps it is divided then.
_ENDS = {"1": 5, "1.5": 3, "2": 4, "2.5": 5, "3": 3, "4": 4, "5": 5, "6": 3, "8": 4, "10": 5}
_FORMS = {GroupBy.HOUR: ("%Y-%m-%dT%H:00Z", timedelta(hours=1)), GroupBy.DAY: ("%Y-%m-%d", timedelta(days=1))}


@dataclass(frozen=True, slots=True)
class Box:
    """A piece of a column; `series` is its place in the legend."""

    series: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """One hour or day: its boxes in the drawing, and its numbers for the table."""

    label: str
    x: float
    width: float
    boxes: tuple[Box, ...]
    values: tuple[str, ...]
    total: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of the grid, or a label of the time axis, and where it is."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws."""

    series: tuple[str, ...]
    columns: tuple[Column, ...]
    grid: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    height: int = HEIGHT
    top: int = _TOP
    floor: int = HEIGHT - _BOTTOM


def buckets(unit: GroupBy, since: datetime | None, until: datetime, found: Sequence[str]) -> tuple[str, ...]:
    """Return the keys of all hours or days of a span as the store writes them, those without usage too.

    Without `since` the first one `found` is the start. Of very long spans the end is returned.
    """
    form, step = _FORMS[unit]
    if since is None:
        if not found:
            return ()
        since = datetime.strptime(min(found), form).replace(tzinfo=UTC)
    count = max(1, math.ceil((until - since) / step))
    first = max(0, count - _MOST_COLUMNS)
    return tuple((since + step * index).strftime(form) for index in range(first, count))


def columns(
    keys: Sequence[str], series: Sequence[str], values: Sequence[Sequence[Number]], *, axis: Writer, exact: Writer
) -> Chart:
    """Lay out one stacked column for each key; `values` has a row for each key with a number for each series."""
    top = _ceiling(max((Decimal(sum(row)) for row in values), default=Decimal(0)))
    slot = _WIDTH / max(1, len(keys))
    drawn = tuple(
        Column(
            label=readable(key),
            x=round(slot * (index + _GAP / 2), 3),
            width=round(slot * (1 - _GAP), 3),
            boxes=_boxes(row, top),
            values=tuple(exact(value) for value in row),
            total=exact(sum(row)),
        )
        for index, (key, row) in enumerate(zip(keys, values, strict=True))
    )
    return Chart(tuple(series), drawn, _grid(top, axis), _labels(keys, slot))


def readable(key: str) -> str:
    """Return an hour's or day's key as people write it: `2026-11-23 09:00`."""
    return key.replace("T", " ").removesuffix("Z")


def _boxes(row: Sequence[Number], top: Decimal) -> tuple[Box, ...]:
    boxes, below = [], Decimal(0)
    for index, value in enumerate(row):
        if value > 0:
            upper, lower = _y(below + value, top), _y(below, top)
            boxes.append(Box(index, upper, max(round(lower - upper, 2), 0.75)))
        below += value
    return tuple(boxes)


def _y(value: Decimal, top: Decimal) -> float:
    space = HEIGHT - _BOTTOM - _TOP
    return round(HEIGHT - _BOTTOM - float(value / top) * space, 2)


def _ceiling(largest: Decimal) -> Decimal:
    """Return the axis' end: a round number, not below the largest value."""
    if largest <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(largest.adjusted())
    return next(power * end for end in map(Decimal, _ENDS) if power * end >= largest)


def _grid(top: Decimal, axis: Writer) -> tuple[Mark, ...]:
    end = str(top.scaleb(-top.adjusted()).normalize())
    steps = _ENDS.get(end, 1)
    return tuple(Mark(_y(top * index / steps, top), axis(top * index / steps)) for index in range(steps + 1))


def _labels(keys: Sequence[str], slot: float) -> tuple[Mark, ...]:
    every = max(1, math.ceil(len(keys) / _MOST_LABELS))
    return tuple(Mark(round(slot * (index + 0.5), 2), _short(keys[index])) for index in range(0, len(keys), every))


def _short(key: str) -> str:
    if "T" in key:
        return f"{key[11:13]}:00"
    return f"{datetime.strptime(key, '%Y-%m-%d').replace(tzinfo=UTC):%-d %b}"
