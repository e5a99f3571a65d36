"""The turns of a websocket, as the provider's messages tell of them."""

from types import SimpleNamespace
from typing import Any

import pytest

from e2e.websocket_peers import completed, created, message
from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.events.entry import Entry, Subject
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.proxy.websocket.turn import Turn
from meshproxy_cli.proxy.websocket.turns import Turns
from meshproxy_cli.store.events import Outcome, UsageEvent

FULL = ProxyError(status=429, code="rate_limit_exceeded", message="The room is full.")
TRANSCRIBED = message(
    type="conversation.item.input_audio_transcription.completed", usage={"type": "tokens", "input_tokens": 8}
)


class Scene:
    """Turns, with what becomes of them; `says` is what the limits say."""

    def __init__(self, path: str, says: Admission | ProxyError = ADMITTED) -> None:
        self.events: list[UsageEvent] = []
        self.forbidden: list[ProxyError] = []
        self.settled: list[Admission] = []
        limiter = SimpleNamespace(admit=lambda *_: says, settle=lambda admission, _: self.settled.append(admission))
        self.gateway: Any = SimpleNamespace(
            limiter=limiter,
            owners=SimpleNamespace(record_answer=lambda *_, **__: None),
            record=self._record,
        )
        route = match(b"GET", path.encode())
        assert isinstance(route, ProviderRoute)
        caller = Caller("p", "r", "s", "ana", "k", "agent", None)
        ask = SimpleNamespace(model="of-the-url")
        self.exchange: Any = SimpleNamespace(
            caller=caller, request_id="req", provider=None, route=route, authorized=ask
        )
        self.turns = Turns(self.gateway, self.exchange, self.forbidden.append)

    def _record(self, subject: Subject, entry: Entry, reading: Reading | None) -> None:
        if reading is not None:
            entry.take(reading)
        self.events.append(entry.event(subject))

    def begin(self, model: str) -> None:
        self.turns.begin(Turn(self.gateway, self.exchange, model, 7), ADMITTED)

    def numbers(self) -> list[tuple[str, int, Outcome]]:
        return [(event.model_requested, event.tokens.input_tokens, event.outcome) for event in self.events]


def test_answers_belong_to_the_turns_in_their_order() -> None:
    scene = Scene("/openai/v1/responses")
    assert not scene.turns.under_way
    scene.begin("first")
    scene.begin("second")
    for answer in (created(), completed(5, 1), created(), completed(6, 1, kind="response.failed")):
        assert scene.turns.under_way
        scene.turns.watch(answer)
    assert scene.numbers() == [("first", 5, Outcome.OK), ("second", 6, Outcome.OK)]
    assert not scene.turns.under_way
    scene.turns.finish(Outcome.CLIENT_CLOSED, "client_closed")
    assert len(scene.events) == 2


def test_what_is_under_way_at_the_end_is_written_down() -> None:
    scene = Scene("/openai/v1/responses")
    scene.begin("first")
    scene.begin("second")
    scene.turns.watch(created())
    scene.turns.watch(message(type="response.output_text.delta", delta="12345678"))
    scene.turns.finish(Outcome.PROVIDER_CLOSED, "provider_closed")
    assert [(event.tokens.output_tokens, event.outcome, event.error) for event in scene.events] == [
        (2, Outcome.PROVIDER_CLOSED, "provider_closed"),
        (0, Outcome.PROVIDER_CLOSED, "provider_closed"),
    ]


def test_what_the_provider_does_unasked_is_a_turn_of_its_own() -> None:
    leave = Admission(holds=("one",))
    scene = Scene("/openai/v1/realtime", leave)
    scene.begin("asked")
    for event in (TRANSCRIBED, created(), completed(5, 1, kind="response.done"), created()):
        scene.turns.watch(event)
    assert scene.turns.under_way
    scene.turns.watch(completed(6, 1, kind="response.done"))
    assert scene.numbers() == [("of-the-url", 8, Outcome.OK), ("asked", 5, Outcome.OK), ("of-the-url", 6, Outcome.OK)]
    assert scene.settled == [leave, leave]


@pytest.mark.parametrize("event", [created(), TRANSCRIBED])
def test_a_limit_forbids_what_is_unasked(event: bytes) -> None:
    scene = Scene("/openai/v1/realtime", FULL)
    scene.turns.watch(event)
    assert scene.forbidden == [FULL]
