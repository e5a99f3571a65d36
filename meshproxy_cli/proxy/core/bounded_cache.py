"""A cache that is bounded in bytes, for whatever is keyed by what clients send."""

from collections import OrderedDict
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_LARGEST_SHARE = 128  # an entry of more than this part of the cache is not kept: few of them would empty it


class BoundedCache(Generic[_Key, _Value]):
    """Keeps the latest entries. Their sizes are the caller's estimates, and add up to `max_bytes` at most."""

    __slots__ = ("_entries", "_max_bytes", "bytes")

    def __init__(self, max_bytes: int) -> None:
        self._entries: OrderedDict[_Key, tuple[_Value, int]] = OrderedDict()
        self._max_bytes = max_bytes
        self.bytes = 0

    def get(self, key: _Key) -> _Value | None:
        """Return the value of a key, None without one."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: _Key, value: _Value, size: int) -> None:
        """Keep a value that takes `size` bytes with its key, unless it is too large to be worth it."""
        old = self._entries.pop(key, None)
        if old is not None:
            self.bytes -= old[1]
        if size > self._max_bytes // _LARGEST_SHARE:
            return
        self._entries[key] = value, size
        self.bytes += size
        while self.bytes > self._max_bytes:
            self.bytes -= self._entries.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.bytes = 0

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._entries)
