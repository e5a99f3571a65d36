import time
import uuid

import pytest

from meshproxy_cli.proxy import ids
from meshproxy_cli.proxy.ids import new_event_id


def test_an_id_is_a_uuid_of_version_7_made_now() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_event_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_event_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_clock_that_steps_back_does_not_turn_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_event_id()
    now = time.time_ns()
    monkeypatch.setattr(ids.time, "time_ns", lambda: now - 3600 * 10**9)
    assert new_event_id() > first
