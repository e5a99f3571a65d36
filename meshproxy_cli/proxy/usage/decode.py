"""Content codings, taken off a copy of the answer for its meter; the client gets the bytes as they came."""

import itertools
import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from meshproxy_cli.proxy.usage.reading import Meter, Reading

_PIECE = 64 * 1024
"""Bytes of input at a time: what a decoder has not consumed is copied for each piece of output."""
_ZSTD_PIECE = 256
"""Bytes of zstd input at a time: it has no limit on output, and four bytes can stand for 128 KiB."""
_MOST_DECODED = 1 << 28
_MAX_RATIO = 50  # of decoded bytes to those that came
_FREE_DECODED = 1 << 24  # answers with much repeated text shrink to less than a hundredth
_INPUT_PIECE = 4096  # so that what is left of it is quickly copied
_MAX_MEMBERS = 1000  # of a gzip body
_MOST_CODINGS = 4

Decoder = Callable[[bytes], Iterator[bytes]]


class DecodingMeter:
    """Undoes gzip, deflate, br and zstd for another meter. What can't be decoded is not metered."""

    def __init__(self, meter: Meter, content_encoding: bytes) -> None:
        self._meter = meter
        self._room = _FREE_DECODED
        self._came = 0
        self._decoders = _decoders(content_encoding)
        self._broken = self._decoders is None

    @property
    def ended(self) -> bool:
        return self._meter.ended

    def feed(self, data: bytes) -> None:
        if self._broken:
            return
        room = min(_MOST_DECODED, _FREE_DECODED + (self._came + len(data)) * _MAX_RATIO)
        self._room += room - min(_MOST_DECODED, _FREE_DECODED + self._came * _MAX_RATIO)
        self._came += len(data)
        try:
            for start in range(0, len(data), _INPUT_PIECE):
                for piece in _through(self._decoders or [], data[start : start + _INPUT_PIECE]):
                    self._room -= len(piece)
                    if self._room < 0:
                        self._broken = True
                        return
                    self._meter.feed(piece)
        except (zlib.error, brotli.error, zstandard.ZstdError, ValueError, MemoryError):
            self._broken = True

    def finish(self) -> Reading:
        reading = self._meter.finish()
        if self._broken and not reading.complete:
            return Reading(metered=False, model=reading.model)
        return reading


def _through(decoders: list[Decoder], data: bytes) -> Iterator[bytes]:
    if not decoders:
        yield data
        return
    for piece in decoders[0](data):
        yield from _through(decoders[1:], piece)


def _decoders(content_encoding: bytes) -> list[Decoder] | None:
    """Return a decoder for each coding, the last applied first; None where one is unknown."""
    names = [name for part in content_encoding.lower().split(b",") if (name := part.strip()) not in {b"", b"identity"}]
    if len(names) > _MOST_CODINGS or not all(name in _MAKERS for name in names):
        return None
    return [_MAKERS[name]() for name in reversed(names)]


def _gzip() -> Decoder:
    return _zlib_decoder(zlib.MAX_WBITS | 16)


def _deflate() -> Decoder:
    """Return a decoder of what HTTP calls deflate: zlib's format, or (as some send it) the bare stream."""
    chosen: list[Decoder] = []

    def decode(data: bytes) -> Iterator[bytes]:
        if not chosen and data:
            bare = data[0] & 0x0F != zlib.DEFLATED
            chosen.append(_zlib_decoder(-zlib.MAX_WBITS if bare else zlib.MAX_WBITS))
        if chosen:
            yield from chosen[0](data)

    return decode


def _zlib_decoder(window: int) -> Decoder:
    state = [zlib.decompressobj(window)]
    members = itertools.count(1)

    def decode(data: bytes) -> Iterator[bytes]:
        full = False
        for start in range(0, len(data), _INPUT_PIECE):
            piece = data[start : start + _INPUT_PIECE]
            while piece or full:
                if state[0].eof:  # gzip allows several members, one after the other
                    if next(members) > _MAX_MEMBERS:
                        raise ValueError("too many members")
                    state[0] = zlib.decompressobj(window)
                out = state[0].decompress(piece, _PIECE)
                yield out
                # A full piece may leave output inside the decoder although it has consumed all input.
                full = len(out) == _PIECE and not state[0].eof
                piece = state[0].unconsumed_tail or state[0].unused_data

    return decode


def _brotli() -> Decoder:
    state = brotli.Decompressor()

    def decode(data: bytes) -> Iterator[bytes]:
        piece = state.process(data, output_buffer_limit=_PIECE)
        yield piece
        # Output may be left inside the decoder although it has consumed all input: only an empty piece says that it is
        # not so.
        while not state.is_finished() and (piece or not state.can_accept_more_data()):
            piece = state.process(b"", output_buffer_limit=_PIECE)
            yield piece

    return decode


def _zstd() -> Decoder:
    state = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(read_across_frames=True)

    def decode(data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _ZSTD_PIECE):
            yield state.decompress(data[start : start + _ZSTD_PIECE])

    return decode


_MAKERS: dict[bytes, Callable[[], Decoder]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"br": _brotli,
    b"zstd": _zstd,
}
