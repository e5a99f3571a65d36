from datetime import UTC, datetime

import pytest

from meshproxy_cli.store.engine.database import to_micros
from meshproxy_cli.store.leases import Counter, LeaseRequest, share, window_end, window_start
from meshproxy_cli.store.records import LimitKind, LimitScope

COUNTER = Counter("p", LimitScope.SESSION, LimitKind.TOKENS_PER_MINUTE, "room", "session")


def at(text: str) -> int:
    return to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("kind", "now", "start", "end"),
    [
        (LimitKind.REQUESTS_PER_MINUTE, "2026-11-23T12:34:56.789", "2026-11-23T12:34", "2026-11-23T12:35"),
        (LimitKind.TOKENS_PER_MINUTE, "2026-12-31T23:59:59", "2026-12-31T23:59", "2027-01-01T00:00"),
        (LimitKind.USD_PER_DAY, "2026-11-23T00:00", "2026-11-23T00:00", "2026-11-24T00:00"),
        (LimitKind.USD_PER_MONTH, "2026-11-30T23:59:59", "2026-11-01T00:00", "2026-12-01T00:00"),
        (LimitKind.USD_PER_MONTH, "2026-12-01T00:00", "2026-12-01T00:00", "2027-01-01T00:00"),
        (LimitKind.USD_PER_MONTH, "2028-02-29T12:00", "2028-02-01T00:00", "2028-03-01T00:00"),
    ],
)
def test_windows(kind: LimitKind, now: str, start: str, end: str) -> None:
    began = window_start(kind, at(now))
    assert (began, window_end(kind, began)) == (at(start), at(end))


def test_streams_have_no_window() -> None:
    assert window_start(LimitKind.CONCURRENT_STREAMS, at("2026-11-23T12:00")) == 0


def test_a_key_names_its_counter() -> None:
    assert Counter.from_key(COUNTER.key) == COUNTER


@pytest.mark.parametrize(
    ("amount", "spent", "others", "in_flight", "needed", "wanted", "expected"),
    [
        (100, 0, 0, 0, 1, 10, 10),  # plenty: what is wanted
        (100, 0, 0, 0, 1, 1000, 25),  # a quarter of what is left
        (100, 90, 6, 0, 3, 50, 3),  # nearly nothing left: what is needed
        (100, 90, 8, 0, 3, 50, 2),  # as far as it goes
        (100, 90, 10, 0, 3, 50, 0),
        (100, 120, 0, 0, 1, 1, 0),
        (100, 50, 0, 50, 1, 1, 0),  # what is in flight counts
        (100, 0, 0, 0, 0, 0, 0),
        (None, 0, 0, 0, 5, 5, 0),  # only counted
    ],
)
def test_shares_shrink_as_the_limit_nears(
    *, amount: int | None, spent: int, others: int, in_flight: int, needed: int, wanted: int, expected: int
) -> None:
    request = LeaseRequest(
        counter=COUNTER, window_start=0, window_end=1, amount=amount, in_flight=in_flight, needed=needed, wanted=wanted
    )
    assert share(request, spent=spent, others=others) == expected
