from pathlib import Path

import msgspec

from fixtures.usage import as_written, usage_event
from meshproxy_cli.proxy.events import spool as spools
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.usage.reading import ModelShare, Reading
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent


def written(directory: Path) -> list[UsageEvent]:
    (path,) = spools.segments(directory)
    return [msgspec.json.decode(line, type=UsageEvent) for line in path.read_bytes().splitlines()]


def record(ledger: Ledger, event: UsageEvent, reading: Reading | None = None) -> UsageEvent:
    subject, entry = as_written(event)
    ledger.record(subject, entry, reading)
    return entry.event(subject)


def test_an_event_is_written_with_the_numbers_of_its_reading(tmp_path: Path) -> None:
    tokens = TokenCounts(input_tokens=7, output_tokens=3)
    event = usage_event(tokens=TokenCounts())
    reading = Reading(tokens=tokens, model="gpt-4o-mini", service_tier="flex", audio_seconds=1.5)
    recorded = record(Ledger(Spool(tmp_path)), event, reading)
    assert written(tmp_path) == [recorded]
    assert (recorded.event_id, recorded.tokens, recorded.model_served) == (event.event_id, tokens, "gpt-4o-mini")
    assert (recorded.service_tier, recorded.audio_seconds) == ("flex", 1.5)


def test_an_event_without_a_reading_is_written_as_it_is(tmp_path: Path) -> None:
    event = usage_event(outcome=Outcome.REFUSED, status=401, tokens=TokenCounts(), error="token_expired")
    assert record(Ledger(Spool(tmp_path)), event) == event
    assert written(tmp_path) == [event]


def test_what_another_model_did_is_a_row_of_its_own_for_the_same_request(tmp_path: Path) -> None:
    share = ModelShare(model="claude-opus-4-8", tokens=TokenCounts(input_tokens=5))
    event = usage_event()
    recorded = record(Ledger(Spool(tmp_path)), event, Reading(tokens=TokenCounts(input_tokens=1), shares=(share,)))
    first, second = written(tmp_path)
    assert first == recorded
    assert (second.model_served, second.tokens.input_tokens, second.request_id) == ("claude-opus-4-8", 5, "req-1")
    assert second.event_id > first.event_id


def test_an_answer_that_may_come_again_has_the_same_events_each_time(tmp_path: Path) -> None:
    share = ModelShare(model="claude-opus-4-8", tokens=TokenCounts(input_tokens=5))
    record(Ledger(Spool(tmp_path)), usage_event(), Reading(shares=(share,), event_ids=("one", "two")))
    assert [event.event_id for event in written(tmp_path)] == ["one", "two"]


def test_the_proxys_own_error_code_comes_before_the_answers(tmp_path: Path) -> None:
    ledger, reading = Ledger(Spool(tmp_path)), Reading(error="overloaded_error")
    assert record(ledger, usage_event(error="client_closed"), reading).error == "client_closed"
    assert record(ledger, usage_event(), reading).error == "overloaded_error"


def test_what_was_recorded_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(Spool(tmp_path))
    record(ledger, usage_event(), Reading(tokens=TokenCounts(), complete=True))
    record(ledger, usage_event(), Reading(metered=False))
    record(ledger, usage_event(outcome=Outcome.CLIENT_CLOSED), Reading(tokens=TokenCounts(), estimated=True))
    counters = ledger.counters
    assert (counters.events, counters.unmetered, counters.estimated, counters.errors) == (3, 1, 1, 1)
