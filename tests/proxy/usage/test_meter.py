import dataclasses
import functools
import gzip
import itertools
import zlib
from collections.abc import Callable

import brotli
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fixtures.answers import RecordedAnswer, recorded_answers
from meshproxy_cli.proxy.usage.meter import meter_for
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import TokenCounts

pytestmark = pytest.mark.thorough

ANSWERS = recorded_answers()
STREAMS = [answer for answer in ANSWERS if b"event-stream" in answer.content_type]

every_answer = pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
some_answer = st.sampled_from(ANSWERS)


def told(reading: Reading) -> Reading:
    """Leave out of a reading what the files don't state: ids, and the text counted of finished answers."""
    text = reading.output_bytes_estimate if reading.estimated else 0
    return msgspec.structs.replace(reading, answer_id="", event_ids=(), output_bytes_estimate=text)


def test_there_are_recorded_answers_of_both_providers() -> None:
    assert len(ANSWERS) >= 60
    assert {answer.protocol for answer in ANSWERS} == {"openai", "anthropic"}


@every_answer
def test_a_recorded_answer_is_read_as_by_hand(answer: RecordedAnswer) -> None:
    assert told(answer.read(answer.body)) == told(answer.expected)


@every_answer
def test_it_makes_no_difference_where_an_answer_is_split(answer: RecordedAnswer) -> None:
    whole = answer.read(answer.body)
    for at in range(1, len(answer.body)):
        assert answer.read(answer.body[:at], answer.body[at:]) == whole, f"split at byte {at}"


@every_answer
def test_an_answer_may_come_byte_by_byte(answer: RecordedAnswer) -> None:
    single = [answer.body[at : at + 1] for at in range(len(answer.body))]
    assert answer.read(*single) == answer.read(answer.body)


@given(some_answer, st.lists(st.integers(0, 4000), max_size=12))
def test_an_answer_may_come_in_any_parts(answer: RecordedAnswer, cuts: list[int]) -> None:
    edges = sorted({0, len(answer.body), *(cut % (len(answer.body) + 1) for cut in cuts)})
    parts = [answer.body[first:last] for first, last in itertools.pairwise(edges)]
    assert answer.read(*parts) == answer.read(answer.body)


@given(st.sampled_from(STREAMS), st.integers(0, 4000))
def test_a_stream_cut_anywhere_is_complete_estimated_or_an_error(answer: RecordedAnswer, cut: int) -> None:
    reading = answer.read(answer.body[: cut % (len(answer.body) + 1)])
    assert reading.complete or reading.estimated or reading.error
    assert reading.tokens is not None


@given(
    st.sampled_from(["openai", "anthropic"]),
    st.sampled_from(sorted({answer.endpoint for answer in ANSWERS})),
    st.sampled_from([200, 400, 529]),
    st.sampled_from([b"", b"application/json", b"text/event-stream"]),
    st.sampled_from([b"", b"gzip", b"deflate", b"br", b"zstd", b"snappy", b"gzip, br"]),
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.sampled_from(
                [b"data: ", b'{"usage":{', b'"output_tokens":', b"\n\n", b"\r\n\r\n", b"event: error\n", b"[" * 900]
            ),
        ),
        max_size=20,
    ),
)
def test_no_bytes_make_a_meter_raise(  # noqa: PLR0917 (one for each thing that varies)
    protocol: str, endpoint: str, status: int, content_type: bytes, coding: bytes, parts: list[bytes]
) -> None:
    meter = meter_for(
        protocol=protocol, endpoint=endpoint, status=status, content_type=content_type, content_encoding=coding
    )
    for part in parts:
        meter.feed(part)
    reading = meter.finish()
    assert reading.tokens is None or min(dataclasses.astuple(reading.tokens)) >= 0


CODINGS = pytest.mark.parametrize(
    ("coding", "encode"),
    [
        (b"gzip", gzip.compress),
        (b"GZIP", gzip.compress),
        (b"deflate", zlib.compress),
        (b"deflate", lambda data: zlib.compress(data, wbits=-15)),
        (b"br", functools.partial(brotli.compress, quality=5)),
        (b"zstd", zstandard.compress),
        (b"identity", lambda data: data),
        (b"deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    ],
)


@CODINGS
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_content_codings_are_taken_off_a_copy(coding: bytes, encode: Callable[[bytes], bytes], size: int) -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "responses-stream")
    encoded = encode(answer.body)
    parts = [encoded[at : at + size] for at in range(0, len(encoded), size)]
    assert answer.read(*parts, content_encoding=coding) == answer.read(answer.body)


@CODINGS
@pytest.mark.parametrize("size", [16 * 1024, 64 * 1024, 1 << 30])
@pytest.mark.parametrize(
    "text", [b"a", b"".join(b"%x" % (n * n * 7919) for n in range(20000))], ids=["dense", "sparse"]
)
@pytest.mark.parametrize("length", [150_000, 10_000_000])
def test_the_end_of_a_large_encoded_answer_is_decoded(
    coding: bytes, encode: Callable[[bytes], bytes], size: int, text: bytes, length: int
) -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "responses-stream")
    filler = (text * (length // len(text) + 1))[:length]
    comments = b"".join(b": %b\n\n" % filler[at : at + 1000] for at in range(0, length, 1000))
    encoded = encode(comments + answer.body)
    parts = [encoded[at : at + size] for at in range(0, len(encoded), size)]
    assert told(answer.read(*parts, content_encoding=coding)) == told(answer.expected)


def test_several_gzip_members_are_one_answer() -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "responses-stream")
    encoded = gzip.compress(answer.body[:300]) + gzip.compress(answer.body[300:])
    assert answer.read(encoded, content_encoding=b"gzip") == answer.read(answer.body)


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"deflate", b"compress", b"gzip, gzip, gzip, gzip, gzip"])
def test_what_cannot_be_decoded_is_not_metered(coding: bytes) -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "anthropic-json")
    reading = answer.read(b"\xff\x00 no such coding" * 10, content_encoding=coding)
    assert reading == Reading(metered=False)


def test_a_bomb_is_given_up_and_memory_stays_bounded() -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "anthropic-json")
    bomb = zstandard.compress(b" " * (3 << 27))
    meter = answer.meter(b"zstd")
    meter.feed(bomb)
    assert not meter.finish().metered


IMAGE = b"A" * (9 * 1024 * 1024)


def test_the_usage_after_a_document_too_large_to_keep_is_found() -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "images")
    body = answer.body.replace(b"AAAA", IMAGE)
    assert told(answer.read(body)) == told(answer.expected)
    assert told(answer.read(*(body[at : at + 65536] for at in range(0, len(body), 65536)))) == told(answer.expected)


def test_the_usage_of_an_event_too_large_to_keep_is_found() -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "images-stream")
    body = answer.body.replace(b"AAAA", IMAGE)
    parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    assert told(answer.read(*parts)) == told(answer.expected)


def test_memory_is_bounded_where_no_event_ever_ends() -> None:
    meter = meter_for(
        protocol="openai", endpoint="/v1/responses", status=200, content_type=b"text/event-stream", content_encoding=b""
    )
    for _ in range(40):
        meter.feed(b"data: " + b"x" * 1024 * 1024)
    assert len(meter._held.buffer) <= 9 * 1024 * 1024
    assert meter.finish().tokens == TokenCounts()


def test_the_id_by_which_later_requests_refer_to_an_answer_is_read() -> None:
    for name in ("responses-stream", "responses-json", "responses-broken-at-once"):
        answer = next(answer for answer in ANSWERS if answer.name == name)
        assert answer.read(answer.body).answer_id == "resp_1"


def test_results_of_a_batch_have_the_same_event_ids_each_time_they_are_fetched() -> None:
    answer = next(answer for answer in ANSWERS if answer.name == "anthropic-batch-results-two-models")
    first, second = answer.read(answer.body), answer.read(answer.body)
    assert first.event_ids == second.event_ids
    assert len(set(first.event_ids)) == 2
