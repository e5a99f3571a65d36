"""One turn, as the limits and the ledger see it."""

from types import SimpleNamespace
from typing import Any

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.events.entry import Entry, Subject
from meshproxy_cli.proxy.limiting.interface import Admission
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.proxy.websocket.turn import Turn
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent


class Gateway:
    """What a turn needs of a gateway, remembering what it is told."""

    def __init__(self) -> None:
        self.settled: list[tuple[Admission, UsageEvent]] = []
        self.noted: list[str] = []
        self.limiter = SimpleNamespace(settle=lambda admission, event: self.settled.append((admission, event)))
        self.owners = SimpleNamespace(record_answer=lambda _, ident, *__, **___: self.noted.append(ident))

    def record(self, subject: Subject, entry: Entry, reading: Reading | None) -> None:
        if reading is not None:
            entry.take(reading)
        self.last = entry.event(subject)


def turn(gateway: Gateway) -> Turn:
    route = match(b"GET", b"/openai/v1/responses")
    assert isinstance(route, ProviderRoute)
    caller = Caller("p", "r", "s", "ana", "k", "codex_exec", None)
    exchange: Any = SimpleNamespace(caller=caller, request_id="req", provider=None, route=route)
    fake: Any = gateway
    return Turn(fake, exchange, "gpt-5.4", 77)


READING = Reading(tokens=TokenCounts(input_tokens=5, output_tokens=3), answer_id="resp_1", complete=True)


def test_a_turn_is_written_down_with_its_numbers() -> None:
    gateway = Gateway()
    one = turn(gateway)
    one.received(100)
    one.received(23)
    one.record(200, Outcome.OK, "", READING)
    event = gateway.last
    assert (event.request_bytes, event.response_bytes, event.model_requested) == (77, 123, "gpt-5.4")
    assert (event.room, event.session, event.participant, event.endpoint) == ("r", "s", "ana", "/v1/responses")
    assert event.tokens == READING.tokens
    assert event.ttfb_ms is not None
    assert 0 <= event.ttfb_ms <= event.duration_ms
    assert gateway.noted == ["resp_1"]


def test_a_turn_without_an_answer_has_no_first_byte() -> None:
    gateway = Gateway()
    turn(gateway).record(200, Outcome.CLIENT_CLOSED, "client_closed", None)
    assert (gateway.last.ttfb_ms, gateway.last.outcome, gateway.noted) == (None, Outcome.CLIENT_CLOSED, [])


@pytest.mark.parametrize("late", [False, True])
def test_a_leave_is_settled_once_whenever_it_comes(late: bool) -> None:  # noqa: FBT001 (a parameter of pytest's)
    gateway, leave = Gateway(), Admission(holds=("something",))
    one = turn(gateway)
    for step in (lambda: one.record(200, Outcome.OK, "", READING), lambda: one.admitted(leave))[:: 1 if late else -1]:
        assert gateway.settled == []
        step()
    assert gateway.settled == [(leave, gateway.last)]
