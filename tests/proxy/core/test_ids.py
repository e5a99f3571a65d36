import os
import time
import uuid

import pytest

from meshproxy_cli.proxy.core import ids
from meshproxy_cli.proxy.core.ids import new_event_id


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_processes_do_not_make_each_others_ids() -> None:
    reading, writing = os.pipe()
    for _ in range(2):
        if os.fork() == 0:
            os.write(writing, new_event_id().encode())
            os._exit(0)
    os.wait()
    os.wait()
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        both = told.read().decode()
    tails = {both[:36][-17:], both[36:][-17:], new_event_id()[-17:]}
    assert len(tails) == 3
