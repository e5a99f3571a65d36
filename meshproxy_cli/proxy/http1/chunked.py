"""Follow a chunked body (RFC 9112, 7.1) through the bytes of a connection, strictly: where it ends, what it holds."""

import enum
import re

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*")
_MAX_LINE = 4096
_MAX_TRAILERS = 16 * 1024


class MalformedChunkError(Exception):
    """Bytes that are no chunked body; the text says why."""


class _State(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    DATA_END = enum.auto()
    TRAILERS = enum.auto()
    DONE = enum.auto()


# Looked up for every chunk: an enumeration's members are not cheap to reach.
_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = _State
_USUAL_LINE = 12  # bytes that a chunk's first line has at most, where it has no extensions
_MOST_SIZES = 4096
_sizes: dict[bytes, int] = {}  # of lines that were looked at before


class ChunkedReader:
    """Takes a chunked body in any pieces; memory is bounded by one line. `trailers` are the lines after the last."""

    __slots__ = ("_need", "_partial", "_state", "_trailer_bytes", "between_chunks", "done", "trailers", "trailers_at")

    def __init__(self) -> None:
        self._state = _SIZE
        self._need = 0
        self._partial = b""
        self._trailer_bytes = 0
        self.trailers: list[bytes] = []
        self.trailers_at = -1  # where trailers begin in what was fed last, -1 while there is a chunk to come
        self.done = False  # whether the body has ended
        self.between_chunks = True  # whether a chunk could be put in at this place

    def feed(self, data: bytes, pieces: list[bytes]) -> int:
        """Append what `data` holds of the body to `pieces`; return how many bytes of `data` belong to the message.

        Raises `MalformedChunkError`. Bytes past the return value come after the message.
        """
        position = 0
        end = len(data)
        if self._state is _TRAILERS:
            self.trailers_at = 0
        if self.between_chunks:
            position = _whole_chunks(data, end, pieces)
            if position == end:
                return end
        while position < end and self._state is not _DONE:
            if self._state is _DATA:
                stop = min(end, position + self._need)
                pieces.append(data[position:stop])
                self._need -= stop - position
                position = stop
                if self._need == 0:
                    self._state = _DATA_END
            elif self._state is _DATA_END and data.startswith(b"\r\n", position) and not self._partial:
                position += 2
                self._state = _SIZE
            else:
                position = self._read_line(data, position)
        self.between_chunks = self._state is _SIZE and not self._partial
        return position

    def _read_line(self, data: bytes, position: int) -> int:
        stop = data.find(b"\n", position)
        if stop < 0:
            self._partial += data[position:]
            self._check_partial()
            return len(data)
        line = self._partial + data[position : stop + 1]
        self._partial = b""
        if not line.endswith(b"\r\n") or len(line) > _MAX_LINE:
            raise MalformedChunkError("a line of the chunked body is malformed")
        self._take_line(line[:-2])
        if self._state is _TRAILERS and self.trailers_at < 0:
            self.trailers_at = stop + 1
        return stop + 1

    def _check_partial(self) -> None:
        if len(self._partial) > _MAX_LINE:
            raise MalformedChunkError("a line of the chunked body is too long")
        if self._state is _DATA_END and self._partial != b"\r":
            raise MalformedChunkError("a chunk does not end where it says")

    def _take_line(self, line: bytes) -> None:
        if self._state is _SIZE:
            self._take_size(line)
        elif self._state is _DATA_END:
            if line:
                raise MalformedChunkError("a chunk does not end where it says")
            self._state = _SIZE
        elif not line:
            self._state = _DONE
            self.done = True
        else:
            self._take_trailer(line)

    def _take_size(self, line: bytes) -> None:
        self._need = _size(line)
        self._state = _DATA if self._need else _TRAILERS

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if _TRAILER.fullmatch(line) is None or self._trailer_bytes > _MAX_TRAILERS:
            raise MalformedChunkError("a trailer is malformed")
        self.trailers.append(line)


def _size(line: bytes) -> int:
    found = _SIZE_LINE.fullmatch(line)
    if found is None:
        raise MalformedChunkError("a chunk size is malformed")
    size = int(found[1], 16)
    if len(line) <= _USUAL_LINE and len(_sizes) < _MOST_SIZES:
        _sizes[line] = size
    return size


def whole_chunk(data: bytes) -> bytes | None:
    """Return what the one chunk holds that `data` is, which begins between chunks; None where it is anything else.

    Nearly all that comes of a stream is one chunk, and this is the quickest way to see it.
    """
    stop = data.find(b"\r\n", 0, _USUAL_LINE + 2)
    size = _sizes.get(data[:stop])
    if not size or len(data) != stop + size + 4 or not data.endswith(b"\r\n"):
        return None
    return data[stop + 2 : -2]


def _whole_chunks(data: bytes, end: int, pieces: list[bytes]) -> int:
    """Take the whole chunks that `data` begins with, but for the last one of a body; return where they end."""
    position = 0
    while position < end:
        stop = data.find(b"\r\n", position, position + _USUAL_LINE + 2)
        size = _sizes.get(data[position:stop], 0) if stop > 0 else 0
        after = stop + 2 + size
        if not size or not data.startswith(b"\r\n", after):
            return position
        pieces.append(data[stop + 2 : after])
        position = after + 2
    return position


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk; nothing for nothing, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


LAST_CHUNK = b"0\r\n\r\n"
