"""Numbers and times as pages show them. What is rounded for the eye keeps its exact value beside it."""

from datetime import UTC, datetime
from decimal import Decimal

from meshproxy_cli.store.records import UsageTotals

_STEPS = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))
_ONE_DOLLAR = 1
_SMALLEST_SHOWN = Decimal("0.0001")


def count(value: int) -> str:
    """Return `1,234,567`."""
    return f"{value:,}"


def compact(value: float) -> str:
    """Return at most three digits and a letter: `1.2M`. For a chart's axis, never for a result."""
    for step, letter in _STEPS:
        if value >= step:
            return f"{value / step:.3g}{letter}"
    return f"{value:.3g}"


def dollars(value: Decimal | None) -> str:
    """Return `$1,234.56`, four decimals below a dollar, and never `$0.0000` for what is more."""
    if value is None:
        return "-"
    if value == 0:
        return "$0.00"
    if value < _SMALLEST_SHOWN:
        return "<$0.0001"
    return f"${value:,.2f}" if value >= _ONE_DOLLAR else f"${value:.4f}"


def exact(value: Decimal | None) -> str:
    """Return every digit."""
    return "" if value is None else f"{value.normalize():f}"


def cost(totals: UsageTotals) -> str:
    """Return a group's cost; `≥` where some of its requests have no known price, words where none has."""
    if totals.cost_usd is None:
        return "no price" if totals.unpriced_requests else "-"
    mark = "≥ " if totals.unpriced_requests else "≈ " if totals.price_estimated_requests else ""
    return f"{mark}{dollars(totals.cost_usd)}"


def share(part: int, whole: int) -> str:
    """Return `12 %`."""
    return f"{100 * part / whole:.0f} %" if whole else "0 %"


def moment(value: datetime | None) -> str:
    """Return `2026-11-23 09:30` in UTC."""
    return "never" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"


def clock(value: datetime) -> str:
    """Return `09:30:12` in UTC."""
    return f"{value.astimezone(UTC):%H:%M:%S}"


def day(value: datetime) -> str:
    """Return `2026-11-23` in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d}"


def duration(milliseconds: float | None) -> str:
    """Return `312 ms` or `4.2 s`."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"  # noqa: PLR2004 (1 s)
