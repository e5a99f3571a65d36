"""What a provider may answer to keep a worker busy: meters give up on it, in bounded steps."""

import gzip
import zlib
from typing import Any

import msgspec
import pytest

from meshproxy_cli.proxy.usage import decode, dialect, sse
from meshproxy_cli.proxy.usage.meter import meter_for
from meshproxy_cli.proxy.usage.reading import Reading

MIB = 2**20
COMPLETED = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","model":"m",'
    b'"output":[%b],"usage":{"input_tokens":7,"output_tokens":3}}}\n\n'
)
ERROR = b'data: {"type":"error","padding":"%b","code":"broken"}\n\n'


def read(*pieces: bytes, kind: bytes = b"text/event-stream", coding: bytes = b"") -> Reading:
    meter = meter_for(
        protocol="openai", endpoint="/v1/responses", status=200, content_type=kind, content_encoding=coding
    )
    for piece in pieces:
        meter.feed(piece)
    return meter.finish()


class Counted:
    """Counts what comes out of the decoders."""

    def __init__(self) -> None:
        self.bytes = 0

    def feed(self, data: bytes) -> None:
        self.bytes += len(data)

    def finish(self) -> Reading:
        return Reading()


def decoded(coding: bytes, *pieces: bytes) -> int:
    counted = Counted()
    meter = decode.DecodingMeter(counted, coding)
    for piece in pieces:
        meter.feed(piece)
    return counted.bytes


def test_a_compressed_answer_is_decoded_up_to_a_ratio() -> None:
    bomb = gzip.compress(bytes(100 * MIB))
    assert decoded(b"gzip", bomb) <= 16 * MIB + 50 * len(bomb)
    assert decoded(b"gzip", *(bomb[at : at + 100] for at in range(0, len(bomb), 100))) <= 16 * MIB + 50 * len(bomb)
    assert not read(bomb, coding=b"gzip").metered


def test_usual_answers_are_decoded_whole() -> None:
    events = b"".join(b'data: {"type":"x","delta":"word %d"}\n\n' % one for one in range(20_000))
    assert decoded(b"gzip", gzip.compress(events)) == len(events)
    answer = gzip.compress(events + COMPLETED % b"")
    tokens = read(*(answer[at : at + 1000] for at in range(0, len(answer), 1000)), coding=b"gzip").tokens
    assert tokens is not None
    assert tokens.input_tokens == 7


def test_members_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = zlib.decompressobj
    monkeypatch.setattr(decode.zlib, "decompressobj", lambda *options: made.append(1) or real(*options))
    assert not read(gzip.compress(b"") * 100_000, coding=b"gzip").metered
    assert len(made) < 1100
    assert read(gzip.compress(b"") * 100 + gzip.compress(COMPLETED % b""), coding=b"gzip").complete


@pytest.mark.parametrize("small", [b"\n", b":\n\n", b"data:1\n\n", b"\r\n", b"event: x\n\n"])
def test_very_many_small_events_are_not_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch, small: bytes) -> None:
    looked = []
    real = sse._data_of
    monkeypatch.setattr(sse, "_data_of", lambda event: looked.append(1) or real(event))
    reading = read(small * 300_000)
    assert len(looked) < 200_000
    assert reading.tokens is None or not reading.complete


def test_pings_and_comments_between_events_are_free() -> None:
    event = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"x"}\n\n: ping\n\n'
    reading = read(*[event * 100] * 300, COMPLETED % b"")
    assert (reading.complete, reading.metered, reading.answer_id) == (True, True, "resp_1")


def test_an_event_of_very_many_lines_is_not_read() -> None:
    assert sse._data_of(b"data:\n" * 100_000 + b"\n") == b""


def test_of_a_large_event_only_what_matters_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    real = dialect._DOCUMENT

    class Seen:
        @staticmethod
        def decode(data: Any) -> Any:
            sizes.append(memoryview(data).nbytes)
            return real.decode(data)

    monkeypatch.setattr(dialect, "_DOCUMENT", Seen)
    reading = read(COMPLETED % (b"[]," * MIB + b"1"))
    assert (reading.complete, reading.model, reading.tokens and reading.tokens.output_tokens) == (True, "m", 3)
    assert max(sizes) <= 64 * 1024
    assert read(ERROR % (b"x" * MIB)).error == "broken"
    assert not read(b'{"usage":{"a":[' + b"[]," * MIB + b"1]}}", kind=b"application/json").complete
    assert max(sizes) <= 64 * 1024


def test_few_places_of_a_clipped_document_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    real = dialect._LENIENT

    class Seen:
        @staticmethod
        def raw_decode(text: str) -> Any:
            tried.append(len(text))
            return real.raw_decode(text)

    monkeypatch.setattr(dialect, "_LENIENT", Seen)
    assert "usage" not in dialect.parse_clipped(b'"usage":{' * 900_000)
    assert len(tried) <= 8
    assert max(tried) <= 64 * 1024
    found = dialect.parse_clipped(
        b'{"model":"m","output":[' + b"x" * MIB + b'],"usage": {"input_tokens":1},"a":"usage"}'
    )
    assert msgspec.convert(found["usage"], dict[str, int]) == {"input_tokens": 1}
