"""Refusals are counted exactly, limited like requests, and only some of them are written down."""

from pathlib import Path

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.events.entry import Subject, subject_of
from meshproxy_cli.proxy.events.refusal_sample import RefusalSample
from meshproxy_cli.proxy.limiting.interface import ADMITTED, Admission, AdmitAll, Pending
from meshproxy_cli.store.events import Outcome
from proxy.gateway_server import Bench, plain, request
from proxy.scripted_exchanges import ANSWER, Answers, play

UNKNOWN = b'{"model":"gpt-5.4","previous_response_id":"resp_of_nobody"}'
FULL = ProxyError(status=429, code="rate_limit_exceeded", message="The room is full.")


def subject(participant: str = "ana", session: str = "s") -> Subject:
    return subject_of(Caller("p", "r", session, participant, "k", "", None), "openai", "/v1/responses", "POST")


def test_one_participant_gets_a_burst_and_then_a_trickle() -> None:
    now = 0.0
    sample = RefusalSample(lambda: now)
    taken = [sample.takes(subject(session=f"s{number}")) for number in range(6000)]
    assert sum(taken) == 50
    assert sample.takes(subject("ben"))
    now = 60.0
    assert sum(sample.takes(subject()) for _ in range(6000)) == 12


def test_many_participants_are_bounded_together() -> None:
    sample = RefusalSample(lambda: 0.0)
    assert sum(sample.takes(subject(f"p{number}")) for number in range(6000)) == 1000


def test_a_flood_is_counted_exactly_and_stored_in_part(tmp_path: Path) -> None:
    number = 300

    async def test(running: Bench) -> None:
        answers = await running.ask(request(UNKNOWN, close=False) * (number - 1) + request(UNKNOWN))
        assert answers.count(b"HTTP/1.1 404 ") == number
        metrics = running.gateway.metrics
        assert sum(metrics.refusals.values()) == number
        assert metrics.requests["openai", "/v1/responses", 404] == number
        assert len(running.ledger.seen) + metrics.unrecorded_refusals == number
        assert 50 <= len(running.ledger.seen) < 60

    play(tmp_path, Answers(plain(ANSWER)), test)


class _Counting(AdmitAll):
    def __init__(self, most: int) -> None:
        self.left = most

    def admit(self, *_: object) -> Admission | ProxyError | Pending:  # type: ignore[override]
        self.left -= 1
        return ADMITTED if self.left >= 0 else FULL


def test_refusals_count_towards_the_limits(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        running.gateway.limiter = _Counting(2)
        statuses = [(await running.ask(request(UNKNOWN)))[9:12] for _ in range(4)]
        assert statuses == [b"404", b"404", b"429", b"429"]
        assert [event.outcome for event in running.ledger.seen] == [Outcome.REFUSED] * 4

    play(tmp_path, Answers(plain(ANSWER)), test)
