"""Bytes taken in slices, one for each turn of the event loop, so that what takes long holds up nobody else."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_SLICE = 1024  # at most a few hundred frames, which take a millisecond or two


class Slices:
    """Hands on to `take` what is added. `hold` hears when bytes wait, so that no more are read, and when none do."""

    def __init__(
        self, loop: "asyncio.AbstractEventLoop", take: Callable[[bytes], None], hold: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._take = take
        self._hold = hold
        self._waiting = b""
        self._last: Callable[[], None] | None = None
        self.wanted = 0  # bytes that can be taken at once, since they are the inside of one frame

    @property
    def busy(self) -> bool:
        """Whether bytes wait."""
        return bool(self._waiting)

    def add(self, data: bytes) -> None:
        """Take the first slice now, if it is its turn."""
        if self._waiting:
            self._waiting += data
        elif len(data) <= _SLICE:
            self._take(data)
        else:
            self._waiting = data
            self._next()
            self._hold()

    def finish(self, last: Callable[[], None]) -> None:
        """Call `last` once nothing waits any more."""
        if self._waiting:
            self._last = last
        else:
            last()

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting, self._last = b"", None

    def _next(self) -> None:
        data = self._waiting
        if not data:
            return
        size = max(_SLICE, self.wanted)
        self._waiting = data[size:]
        if self._waiting:
            self._loop.call_soon(self._next)
        self._take(data[:size])
        if not self._waiting:
            self._hold()
            last, self._last = self._last, None
            if last is not None:
                last()
