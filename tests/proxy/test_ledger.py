from pathlib import Path

import msgspec

from fixtures.usage import usage_event
from meshproxy_cli.proxy import spool as spools
from meshproxy_cli.proxy.ledger import Ledger
from meshproxy_cli.proxy.spool import Spool
from meshproxy_cli.proxy.usage.reading import ModelShare, Reading
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent


def written(directory: Path) -> list[UsageEvent]:
    (path,) = spools.segments(directory)
    return [msgspec.json.decode(line, type=UsageEvent) for line in path.read_bytes().splitlines()]


def test_an_event_is_written_with_the_numbers_of_its_reading(tmp_path: Path) -> None:
    ledger = Ledger(Spool(tmp_path))
    tokens = TokenCounts(input_tokens=7, output_tokens=3)
    event = usage_event(tokens=TokenCounts())
    recorded = ledger.record(event, Reading(tokens=tokens, model="gpt-4o-mini", service_tier="flex", audio_seconds=1.5))
    assert written(tmp_path) == [recorded]
    assert (recorded.event_id, recorded.tokens, recorded.model_served) == (event.event_id, tokens, "gpt-4o-mini")
    assert (recorded.service_tier, recorded.audio_seconds) == ("flex", 1.5)


def test_an_event_without_a_reading_is_written_as_it_is(tmp_path: Path) -> None:
    event = usage_event(outcome=Outcome.REFUSED, status=401, tokens=TokenCounts(), error="token_expired")
    assert Ledger(Spool(tmp_path)).record(event) == event
    assert written(tmp_path) == [event]


def test_what_another_model_did_is_a_row_of_its_own_for_the_same_request(tmp_path: Path) -> None:
    share = ModelShare(model="claude-opus-4-8", tokens=TokenCounts(input_tokens=5))
    event = usage_event()
    recorded = Ledger(Spool(tmp_path)).record(event, Reading(tokens=TokenCounts(input_tokens=1), shares=(share,)))
    first, second = written(tmp_path)
    assert first == recorded
    assert (second.model_served, second.tokens.input_tokens, second.request_id) == ("claude-opus-4-8", 5, "req-1")
    assert second.event_id > first.event_id


def test_the_proxys_own_error_code_comes_before_the_answers(tmp_path: Path) -> None:
    ledger = Ledger(Spool(tmp_path))
    assert ledger.record(usage_event(error="client_closed"), Reading(error="overloaded_error")).error == "client_closed"
    assert ledger.record(usage_event(), Reading(error="overloaded_error")).error == "overloaded_error"


def test_what_was_recorded_is_counted(tmp_path: Path) -> None:
    ledger = Ledger(Spool(tmp_path))
    ledger.record(usage_event(), Reading(tokens=TokenCounts(), complete=True))
    ledger.record(usage_event(), Reading(metered=False))
    ledger.record(usage_event(outcome=Outcome.CLIENT_CLOSED), Reading(tokens=TokenCounts(), estimated=True))
    counters = ledger.counters
    assert (counters.events, counters.unmetered, counters.estimated, counters.errors) == (3, 1, 1, 1)
