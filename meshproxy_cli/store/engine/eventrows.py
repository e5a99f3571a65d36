"""Usage events as rows of `usage_events`, and back.

A row is a plain tuple in the order of the table's columns: batches of thousands are made, summed up and handed to the
driver as they are.
"""

from collections.abc import Mapping
from dataclasses import fields
from decimal import ROUND_HALF_EVEN, Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from meshproxy_cli.store.engine.database import from_micros, to_micros
from meshproxy_cli.store.engine.schema import usage_events
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

EventRow = tuple[Any, ...]
COLUMNS = tuple(column.name for column in usage_events.columns)
#: Where a column is in a row.
PLACES = {name: place for place, name in enumerate(COLUMNS)}
_PICODOLLARS = Decimal(10) ** 12
_TOKEN_FIELDS = tuple(entry.name for entry in fields(TokenCounts))
MAX_NUMBER = 10**12
MAX_COST = 10**16  # $10,000
#: Fields that are stored as they are.
_PLAIN = tuple(
    entry.name for entry in fields(UsageEvent) if entry.name not in {"started_at", "outcome", "tokens", "cost_usd"}
)
_TEXTS = tuple(entry.name for entry in fields(UsageEvent) if entry.name in _PLAIN and entry.type is str)
_COUNTS = (*_TOKEN_FIELDS, "status", "web_searches", "request_bytes", "response_bytes")
_plain, _texts, _tokens = attrgetter(*_PLAIN), attrgetter(*_TEXTS), attrgetter(*_TOKEN_FIELDS)
#: Outcomes that count as failed requests: not those that the client itself ended.
FAILED = frozenset(Outcome) - {Outcome.OK, Outcome.CLIENT_CLOSED}


def to_picodollars(amount: Decimal) -> int:
    """Return whole picodollars; parts of one are rounded half to even."""
    return int((amount * _PICODOLLARS).to_integral_value(ROUND_HALF_EVEN))


def from_picodollars(amount: int) -> Decimal:
    """Return dollars, exactly, without trailing zeros and never in exponent form."""
    dollars = (Decimal(amount) / _PICODOLLARS).normalize()
    return dollars if dollars != dollars.to_integral_value() else dollars.quantize(Decimal(1))


def to_row(event: UsageEvent) -> EventRow:
    """Return the event's row.

    Whatever a provider or client wrote can be stored: text that PostgreSQL refuses is mended and numbers beyond
    sense are cut, since one event that the database refuses would hold up all those behind it.
    """
    row: dict[str, Any] = dict(zip(_PLAIN, _plain(event), strict=True))
    row.update(zip(_TOKEN_FIELDS, _tokens(event.tokens), strict=True))
    texts = "".join(_texts(event))
    if not texts.isascii() or "\0" in texts:
        row.update((name, _mended(row[name])) for name in _TEXTS)
    if max(counts := [row[name] for name in _COUNTS]) > MAX_NUMBER or min(counts) < 0:
        row.update((name, max(0, min(row[name], MAX_NUMBER))) for name in _COUNTS)
    row["started_at"] = to_micros(event.started_at)
    row["outcome"] = event.outcome.value
    row["model"] = row["model_served"] or row["model_requested"]
    row["cost"] = None if event.cost_usd is None else max(0, min(to_picodollars(event.cost_usd), MAX_COST))
    return tuple(map(row.__getitem__, COLUMNS))


def _mended(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def from_row(row: "Row[tuple[Any, ...]]") -> UsageEvent:
    """Return the event of a row read from the database."""
    return _event(cast("Mapping[str, Any]", row._mapping))  # noqa: SLF001 (SQLAlchemy's public name for a mapping)


def to_event(row: EventRow) -> UsageEvent:
    """Return the event of a row as `to_row` makes it."""
    return _event(dict(zip(COLUMNS, row, strict=True)))


def _event(columns: Mapping[str, Any]) -> UsageEvent:
    return UsageEvent(
        **{name: columns[name] for name in _PLAIN},
        started_at=from_micros(columns["started_at"]),
        outcome=Outcome(columns["outcome"]),
        tokens=TokenCounts(**{name: columns[name] for name in _TOKEN_FIELDS}),
        cost_usd=None if columns["cost"] is None else from_picodollars(columns["cost"]),
    )
