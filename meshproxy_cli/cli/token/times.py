"""Durations and moments, as a person writes them for a token."""

import re
from typing import Final

from meshproxy_cli.errors import UsageError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d{1,6}[smhdw])+")
_PART = re.compile(r"(\d+)([smhdw])")
_LONGEST: Final = 100 * 365 * 86_400


def parse_duration(text: str, option: str) -> int:
    """Return the seconds of `8h`, `30m`, `7d` or `1h30m`; raise `UsageError`."""
    wanted = text.strip().lower()
    seconds = sum(int(count) * _UNITS[unit] for count, unit in _PART.findall(wanted))
    if not _DURATION.fullmatch(wanted) or not 0 < seconds <= _LONGEST:
        raise UsageError(f"{option} {text!r} is no length of time", hint="write 90s, 30m, 8h, 7d, 2w or 1h30m")
    return seconds


def parse_moment(text: str, option: str, *, now: int) -> int:
    """Return the Unix seconds of a duration from now, a date or a time (UTC where it names no zone)."""
    from datetime import UTC, datetime  # noqa: PLC0415 (no other part of making a token needs a calendar)

    wanted = text.strip()
    if _DURATION.fullmatch(wanted.lower()):
        return now + parse_duration(wanted, option)
    try:
        moment = datetime.fromisoformat(wanted)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        hint = "write 30m, 8h, 7d (from now), 2026-11-30 or 2026-11-30T09:00Z"
        raise UsageError(f"{option} {text!r} is no time", hint=hint) from None
