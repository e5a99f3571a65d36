"""A usage report as a table for people and as CSV."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

from meshproxy_cli.cli.output import Column
from meshproxy_cli.store.records import UsageReport, UsageTotals

_GAP = 2
_LEAST_KEY_WIDTH = 8
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class _Number:
    """A column of numbers; one that is `optional` is left out where it is empty or there is no room for it."""

    title: str
    value: Callable[[UsageTotals], int]
    optional: bool = False


_NUMBERS = (
    _Number("Requests", lambda totals: totals.requests),
    _Number("Input", lambda totals: totals.input_tokens),
    _Number("Cached", lambda totals: totals.cached_input_tokens),
    _Number("Cache write", lambda totals: totals.cache_write_tokens, optional=True),
    _Number("Output", lambda totals: totals.output_tokens),
    _Number("Reasoning", lambda totals: totals.reasoning_tokens, optional=True),
    _Number("Failed", lambda totals: totals.failed_requests, optional=True),
)


@dataclass(frozen=True, slots=True)
class Table:
    """What `output.table` draws."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    footer: tuple[str, ...]


def build_table(report: UsageReport, width: int | None) -> Table:
    """Lay the report out in `width` columns (None: as wide as it likes). Numbers are exact and never cut."""
    groups = [row.totals for row in report.rows]
    places = max((_places(totals.cost_usd) for totals in (*groups, report.totals)), default=2)
    numbers = _chosen(report, places, width)
    keys = tuple(Column(str(group).capitalize(), fold=True) for group in report.by)

    def cells(totals: UsageTotals) -> tuple[str, ...]:
        return (*(f"{number.value(totals):,}" for number in numbers), cost_text(totals, places))

    return Table(
        columns=(
            *keys,
            *(Column(number.title, align="right") for number in numbers),
            Column("Cost", align="right"),
        ),
        rows=tuple(
            (*(row.keys.get(group.value, "") or "-" for group in report.by), *cells(row.totals)) for row in report.rows
        ),
        footer=("Total", *("",) * (len(keys) - 1), *cells(report.totals)),
    )


def cost_text(totals: UsageTotals, places: int | None = None) -> str:
    """Return dollars, exactly; `≥` where requests without a known price are in the group, words where all are."""
    if totals.cost_usd is None:
        return "no price" if totals.unpriced_requests else "-"
    mark = "≥" if totals.unpriced_requests else "≈" if totals.price_estimated_requests else ""
    return f"{mark}${totals.cost_usd:,.{_places(totals.cost_usd) if places is None else places}f}"


def count(number: int, noun: str) -> str:
    """Return "1 event", "2,000 events"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def to_csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return CSV text. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue().removesuffix("\n")


def report_to_csv(report: UsageReport) -> str:
    """Return the groups as CSV: their keys, then every sum."""
    names = [field.name for field in fields(UsageTotals)]
    header = [*(group.value for group in report.by), *names]
    rows = [[*row.keys.values(), *(getattr(row.totals, name) for name in names)] for row in report.rows]
    return to_csv(header, rows)


def _csv_cell(cell: object) -> object:
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS):
        return "'" + cell
    return "" if cell is None else cell


def _places(cost: Decimal | None) -> int:
    """Return how many decimals show `cost` exactly, two at least."""
    if cost is None:
        return 2
    exponent = cost.normalize().as_tuple().exponent
    return max(2, -exponent if isinstance(exponent, int) else 0)


def _chosen(report: UsageReport, places: int, width: int | None) -> tuple[_Number, ...]:
    totals = report.totals
    filled = [number for number in _NUMBERS if not number.optional or number.value(totals)]
    needed = _GAP + len(cost_text(totals, places)) + len(report.by) * (_LEAST_KEY_WIDTH + _GAP)
    needed += sum(_width(number, totals) for number in filled if not number.optional)
    chosen = []
    for number in filled:
        if number.optional and width is not None:
            if needed + _width(number, totals) > width:
                continue
            needed += _width(number, totals)
        chosen.append(number)
    return tuple(chosen)


def _width(number: _Number, totals: UsageTotals) -> int:
    return _GAP + max(len(number.title), len(f"{number.value(totals):,}"))
