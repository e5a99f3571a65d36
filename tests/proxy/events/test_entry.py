from dataclasses import fields

import msgspec

from fixtures.usage import as_written, usage_event
from meshproxy_cli.proxy.events.entry import Entry, Subject, encode
from meshproxy_cli.store.events import TokenCounts, UsageEvent


def test_the_two_parts_have_the_members_of_an_event_and_their_defaults() -> None:
    priced_later = {"price_estimated"}
    parts = {*Entry.__struct_fields__, *(field.name for field in fields(Subject))} - {"tail"}
    assert parts == {field.name for field in fields(UsageEvent)} - priced_later


def test_what_an_entry_leaves_out_is_what_an_event_has_by_default() -> None:
    defaults = {field.name: field.default for field in fields(UsageEvent)}
    kept = dict(zip(Entry.__struct_fields__[-len(Entry.__struct_defaults__) :], Entry.__struct_defaults__, strict=True))
    assert kept.pop("tokens") == TokenCounts()
    assert kept == {name: defaults[name] for name in kept}


def test_a_line_is_the_event() -> None:
    event = usage_event(room='a "room"', participant="Zoë", error="http_500", ttfb_ms=1.5, estimated=True)
    subject, entry = as_written(event)
    line = encode(entry, subject)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert msgspec.json.decode(line, type=UsageEvent) == event == entry.event(subject)


def test_half_a_character_is_mended() -> None:
    subject, entry = as_written(usage_event(model_requested="half \ud800"))
    assert msgspec.json.decode(encode(entry, subject), type=UsageEvent).model_requested == "half ?"
