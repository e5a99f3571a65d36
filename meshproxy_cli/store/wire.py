"""Records as JSON: the one shape that REST, `--json`, exports and the remote client share.

Times are ISO 8601 in UTC ending in `Z`; enums are their values; decimals are numbers (exact up to 15 digits); a
dataclass is an object with its fields' names. Reading passes over fields it does not know, so that an older client
goes on with a newer server.
"""

import enum
import functools
import types
import typing
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.records import UsageReport, UsageRow, UsageTotals

T = TypeVar("T")

_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_TOTALS = tuple(field.name for field in fields(UsageTotals))


def to_json(value: Any) -> Any:  # noqa: ANN401 (any record in, any JSON value out)
    """Return a record, or a container of records, as JSON values."""
    for kind, convert in _CONVERTERS:
        if isinstance(value, kind):
            return convert(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    return value


def from_json(kind: type[T], data: Any) -> T:  # noqa: ANN401 (any JSON value)
    """Build the record `kind` from an object as `to_json` makes it; raise `ValueError` if it does not fit."""
    _expect(dict, data)
    values: dict[str, Any] = {}
    for name, annotation, required in _fields_of(typing.cast("Hashable", kind)):
        if name in data:
            try:
                values[name] = _read(annotation, data[name])
            except (TypeError, ValueError, ArithmeticError) as problem:
                raise ValueError(f"{kind.__name__}.{name}: {problem}") from None
        elif required:
            raise ValueError(f"{kind.__name__}.{name} is missing")
    return kind(**values)


def time_to_text(moment: datetime) -> str:
    """Return `2026-11-23T09:30:00Z`, with fractions of a second if there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def time_from_text(text: str) -> datetime:
    """Read an ISO 8601 time or date; without an offset it is UTC. Raise `ValueError` otherwise.

    Years outside 1970 to 9998 are refused too: no usage is from then, and arithmetic with them can overflow.
    """
    moment = datetime.fromisoformat(text)
    if _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:  # as UTC it can be in another year
        raise ValueError(f"a year from {_FIRST_YEAR} to {_LAST_YEAR} was expected")
    return moment


def event_to_row(event: UsageEvent) -> dict[str, Any]:
    """Return an event as one flat object, the token counts among its other columns: for JSON lines and CSV."""
    row: dict[str, Any] = {}
    for name, value in to_json(event).items():
        row.update(value if name == "tokens" else {name: value})
    return row


def row_to_json(row: UsageRow) -> dict[str, Any]:
    """Return a group as one flat object: its keys, then its sums."""
    return {**row.keys, **totals_to_json(row.totals)}


def totals_to_json(totals: UsageTotals) -> dict[str, Any]:
    """Return sums with the names of `UsageTotals`."""
    return {name: to_json(getattr(totals, name)) for name in _TOTALS}


def totals_from_json(data: Mapping[str, Any]) -> UsageTotals:
    """Read the sums from a flat row."""
    return from_json(UsageTotals, dict(data))


def report_to_json(report: UsageReport) -> dict[str, Any]:
    """Return a usage report as `meshproxy usage --json` prints it."""
    return {
        "schema_version": 1,
        "rows": [row_to_json(row) for row in report.rows],
        "totals": totals_to_json(report.totals),
    }


def add_up(totals: Iterable[UsageTotals]) -> UsageTotals:
    """Return the sums over groups; the cost is None if no group has one."""
    sums: dict[str, Any] = dict.fromkeys(_TOTALS, 0) | {"cost_usd": None}
    for group in totals:
        for name in _TOTALS:
            value = getattr(group, name)
            if value is not None:
                sums[name] = (sums[name] or 0) + value
    return UsageTotals(**sums)


@functools.cache
def _fields_of(kind: Hashable) -> tuple[tuple[str, Any, bool], ...]:
    if not isinstance(kind, type) or not is_dataclass(kind):
        raise TypeError(kind)
    hints = typing.get_type_hints(kind)
    return tuple(
        (field.name, hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
    )


def _read(annotation: Any, value: Any) -> Any:  # noqa: ANN401 (any type, any JSON value)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {types.UnionType, typing.Union}:
        present = [argument for argument in arguments if argument is not type(None)]
        return None if value is None else _read(present[0], value)
    if origin is tuple:
        return tuple(_read(arguments[0], item) for item in _expect(list, value))
    if origin is dict:
        return {str(key): _read(arguments[1], item) for key, item in _expect(dict, value).items()}
    return _read_plain(annotation, value)


def _read_plain(kind: type, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if is_dataclass(kind):
        return from_json(kind, value)
    if kind is datetime:
        return time_from_text(_expect(str, value))
    if kind is bool:
        return _expect(bool, value)
    if kind in {int, float, Decimal}:
        if isinstance(value, bool):
            raise ValueError("expected a number")
        return kind(str(value)) if kind is Decimal else kind(value)
    return kind(_expect(str, value))


def _expect(kind: type, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    if not isinstance(value, kind):
        raise ValueError(f"expected {kind.__name__}")  # noqa: TRY004 (what does not fit is a ValueError)
    return value


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


_CONVERTERS: tuple[tuple[Any, Any], ...] = (
    (enum.Enum, lambda value: value.value),
    (datetime, time_to_text),
    (Decimal, _number),
    (Mapping, lambda value: {str(key): to_json(item) for key, item in value.items()}),
    ((list, tuple), lambda value: [to_json(item) for item in value]),
)
