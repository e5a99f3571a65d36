"""Bytes kept back until they make sense, in bounded memory."""

LIMIT = 8 * 1024 * 1024
"""Bytes kept of one event or document; of a larger one only its beginning and its end are."""

_HEAD = 4096
_TAIL = 64 * 1024


class BoundedBuffer:
    """A buffer that loses its middle, not its ends, when it grows past the limit."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.buffer = bytearray()
        self.clipped = False
        self._limit = limit

    def __len__(self) -> int:
        return len(self.buffer)

    def add(self, data: bytes) -> None:
        """Append, and clip where that is too much."""
        self.buffer += data
        if len(self.buffer) > self._limit:
            del self.buffer[_HEAD:-_TAIL]
            self.clipped = True

    def take(self, end: int) -> bytes:
        """Remove and return the first `end` bytes."""
        taken = bytes(self.buffer[:end])
        del self.buffer[:end]
        self.clipped = False
        return taken
