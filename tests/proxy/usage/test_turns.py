import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.proxy.usage.turns import TurnMeter
from meshproxy_cli.store.events import TokenCounts


def message(kind: str, **fields: Any) -> bytes:
    return json.dumps({"type": kind, "event_id": "event_1", **fields}, separators=(",", ":")).encode()


def feed(meter: TurnMeter, *messages: bytes) -> list[Reading]:
    return [reading for each in messages if (reading := meter.feed(each)) is not None]


def usage(read: int, written: int, cached: int = 0, reasoning: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": reasoning},
    }


CREATED = message("response.created", response={"id": "resp_1", "model": "gpt-5.4", "usage": None})


def completed(read: int, written: int, *, kind: str = "response.completed", **fields: Any) -> bytes:
    return message(kind, response={"id": "resp_1", "model": "gpt-5.4", "usage": usage(read, written, 2, 1)} | fields)


def test_each_turn_has_a_reading_of_its_own() -> None:
    meter = TurnMeter()
    delta = message("response.output_text.delta", delta="Hello")
    readings = feed(meter, CREATED, delta, completed(10, 5), CREATED, delta, delta, completed(20, 6))
    assert [reading.tokens for reading in readings] == [
        TokenCounts(input_tokens=10, cached_input_tokens=2, output_tokens=5, reasoning_tokens=1),
        TokenCounts(input_tokens=20, cached_input_tokens=2, output_tokens=6, reasoning_tokens=1),
    ]
    assert {(reading.model, reading.answer_id, reading.complete) for reading in readings} == {
        ("gpt-5.4", "resp_1", True)
    }
    assert not meter.open
    assert meter.finish() is None


def test_incomplete_and_failed_turns_count() -> None:
    meter = TurnMeter()
    incomplete = completed(10, 5, kind="response.incomplete")
    failed = completed(11, 6, kind="response.failed", error={"code": "server_error", "message": "…"})
    readings = feed(meter, CREATED, incomplete, CREATED, failed)
    assert [(reading.complete, reading.error) for reading in readings] == [(True, ""), (True, "server_error")]


def test_a_failure_without_usage_uses_nothing() -> None:
    failed = message("response.failed", response={"model": "gpt-5.4", "usage": None, "error": {"code": "overloaded"}})
    (reading,) = feed(TurnMeter(), CREATED, failed)
    assert (reading.error, reading.tokens, reading.complete) == ("overloaded", TokenCounts(), False)


def test_an_error_ends_the_turn() -> None:
    meter = TurnMeter()
    error = message("error", status=400, error={"type": "invalid_request_error", "code": "previous_response_not_found"})
    (reading,) = feed(meter, CREATED, error)
    assert (reading.error, reading.tokens) == ("previous_response_not_found", TokenCounts())
    assert not meter.open


def test_a_turn_that_the_connections_end_breaks_off_is_estimated() -> None:
    meter = TurnMeter()
    assert feed(meter, CREATED, message("response.output_text.delta", delta="123456789")) == []
    assert meter.open
    reading = meter.finish()
    assert reading is not None
    # 9 bytes at 4 bytes a token
    assert (reading.tokens, reading.estimated, reading.model) == (TokenCounts(output_tokens=3), True, "gpt-5.4")


def test_text_of_one_turn_is_not_counted_for_the_next() -> None:
    meter = TurnMeter()
    feed(meter, CREATED, message("response.output_text.delta", delta="x" * 400), completed(1, 1), CREATED)
    reading = meter.finish()
    assert reading is not None
    assert reading.tokens == TokenCounts()


def test_realtime_answers_get_their_sessions_model_and_every_kind_of_token() -> None:
    details = {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 5,
        "cached_tokens": 70,
        "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 8, "image_tokens": 2},
    }
    counted = {
        "total_tokens": 258,
        "input_tokens": 137,
        "output_tokens": 121,
        "input_token_details": details,
        "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
    }
    done = message("response.done", response={"object": "realtime.response", "status": "completed", "usage": counted})
    session = message("session.created", session={"type": "realtime", "model": "gpt-realtime"})
    (reading,) = feed(TurnMeter(), session, message("response.created", response={"usage": None}), done)
    assert reading.model == "gpt-realtime"
    assert reading.tokens == TokenCounts(
        input_tokens=137,
        cached_input_tokens=70,
        output_tokens=121,
        input_audio_tokens=13,
        output_audio_tokens=91,
        input_image_tokens=5,
        cached_audio_tokens=8,
        cached_image_tokens=2,
    )


def test_transcriptions_in_a_realtime_session_are_their_own_models() -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    meter = TurnMeter()
    transcription = {"model": "gpt-4o-transcribe"}
    newer = {"model": "gpt-realtime", "audio": {"input": {"transcription": transcription}}}
    tokens = {"type": "tokens", "input_tokens": 26, "input_token_details": {"audio_tokens": 24}, "output_tokens": 17}
    by_tokens = message(kind, transcript="Hi", usage=tokens)
    older = message("session.updated", session={"input_audio_transcription": {"model": "whisper-1"}})
    by_length = message(kind, transcript="Hi", usage={"type": "duration", "seconds": 2.5})
    session = message("session.created", session=newer)
    first, second = feed(meter, session, message("response.created", response={}), by_tokens, older, by_length)
    assert (first.model, first.tokens) == (
        "gpt-4o-transcribe",
        TokenCounts(input_tokens=26, input_audio_tokens=24, output_tokens=17),
    )
    assert (second.model, second.audio_seconds, second.complete) == ("whisper-1", 2.5, True)
    assert meter.open  # the answer goes on


def test_a_model_that_writes_about_events_ends_nothing() -> None:
    text = completed(999, 999).decode()
    assert feed(TurnMeter(), CREATED, message("response.output_text.delta", delta=text), completed(1, 2)) != []
    meter = TurnMeter()
    assert feed(meter, CREATED, message("response.output_text.delta", delta=text)) == []


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([CREATED, completed(1, 1), b'{"type":"error"', b"[]"])))
)
def test_no_message_makes_it_raise(messages: list[bytes]) -> None:
    meter = TurnMeter()
    for each in messages:
        meter.feed(each)
    meter.finish()


def test_an_error_beside_a_realtime_response_does_not_end_it() -> None:
    meter = TurnMeter(realtime=True)
    error = message("error", error={"type": "invalid_request_error", "code": "invalid_value"})
    assert feed(meter, CREATED, error) == []
    (reading,) = feed(meter, completed(10, 5, kind="response.done"))
    assert (reading.error, reading.complete) == ("", True)
    (reading,) = feed(meter, error)
    assert reading.error == "invalid_value"


def test_a_transcription_is_beside_the_turns() -> None:
    meter = TurnMeter(realtime=True)
    heard = message(
        "conversation.item.input_audio_transcription.completed",
        usage={"type": "tokens", "input_tokens": 8, "output_tokens": 1},
    )
    feed(meter, CREATED, heard)
    assert meter.beside
    assert meter.open
    feed(meter, completed(10, 5, kind="response.done"))
    assert not meter.beside
