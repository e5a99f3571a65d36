"""The times that `--since` and `--until` take."""

from datetime import UTC, datetime, timedelta

import pytest

from fixtures.own_store import NOW
from meshproxy_cli.cli.usage import filters
from meshproxy_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2W", NOW - timedelta(weeks=2)),
        ("today", datetime(2026, 11, 23, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T09:30Z", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01 09:30", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01T09:30+02:00", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert filters.parse_time(text, "--since", NOW) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 years", "2026-13-01", "999999w", "1e3d", "\x00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="no time"):
        filters.parse_time(text, "--since", NOW)
