"""Adds up what the provider reported, in the columns of `meshproxy usage --json`."""

from collections.abc import Iterable
from typing import Any

from e2e.wire import Reported

COLUMNS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
)


def reported_totals(reported: Iterable[Reported]) -> dict[str, int]:
    """Return the sum of what the provider reported, with the number of answers as `requests`."""
    answers = list(reported)
    sums = {column: sum(getattr(numbers, column) for numbers in answers) for column in COLUMNS}
    return {"requests": len(answers), **sums}


def totals_of(report: dict[str, Any]) -> dict[str, int]:
    """Return the same columns of a usage report; its rows must add up to its totals."""
    totals = {column: int(report["totals"][column]) for column in ("requests", *COLUMNS)}
    for column, total in totals.items():
        assert sum(row[column] for row in report["rows"]) == total, column
    return totals
