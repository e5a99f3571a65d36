"""The few answers that are changed."""

import pytest

from meshproxy_cli.proxy.request.transforms import Collector, TransformError, UsageChunkFilter

TEXT = b'data: {"choices":[{"delta":{"content":"say \\"usage\\""}}],"usage":null}\n\n'
USAGE = b'data: {"id":"x","choices": [],"usage": {"prompt_tokens":5}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("step", [1, 7, 60, 10_000])
def test_the_usage_chunk_is_kept_back_whatever_the_split(step: int, ending: bytes) -> None:
    stream = (TEXT + TEXT + USAGE + DONE).replace(b"\n\n", ending)
    expected = (TEXT + TEXT + DONE).replace(b"\n\n", ending)
    chunks = [stream[place : place + step] for place in range(0, len(stream), step)]
    keeps = UsageChunkFilter()
    out = [keeps.feed(piece, last=False) for piece in chunks]
    assert b"".join([*out, keeps.feed(b"", last=True)]) == expected


def test_whole_events_are_passed_at_once() -> None:
    keeps = UsageChunkFilter()
    assert keeps.feed(TEXT + b"data: {", last=False) == TEXT
    assert keeps.feed(b'"choices":[1]}\n\n', last=False) == b'data: {"choices":[1]}\n\n'


def test_an_event_without_end_does_not_fill_the_memory() -> None:
    keeps = UsageChunkFilter()
    passed = sum(len(keeps.feed(bytes(2**18), last=False)) for _ in range(40))
    assert passed > 2**22
    assert len(keeps._held) <= 2**20


def test_what_is_cut_short_is_passed_at_the_end() -> None:
    keeps = UsageChunkFilter()
    assert keeps.feed(b'data: {"half', last=False) == b""
    assert keeps.feed(b"", last=True) == b'data: {"half'


def test_a_list_is_changed_when_it_is_whole() -> None:
    collects = Collector(bytes.upper)
    assert collects.feed(b"ab", last=False) == b""
    assert collects.feed(b"c", last=True) == b"ABC"


def test_a_list_that_cannot_be_read() -> None:
    def broken(body: bytes) -> bytes:
        raise ValueError(body)

    with pytest.raises(TransformError):
        Collector(broken).feed(b"x", last=True)
    with pytest.raises(TransformError, match="too large"):
        Collector(bytes.upper).feed(bytes(17 * 2**20), last=False)
