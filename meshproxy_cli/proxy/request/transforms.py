"""The few answers whose body is changed: lists that are narrowed, and the usage chunk that nobody asked for."""

from collections.abc import Callable
from typing import Protocol

_LARGEST_LIST = 16 * 1024 * 1024
_LARGEST_EVENT = 1024 * 1024


class TransformError(Exception):
    """An answer that can't be read; the text says why."""


class Transform(Protocol):
    """Changes a body on its way."""

    holds_head: bool  # nothing goes out before there is something to send

    def feed(self, data: bytes, *, last: bool) -> bytes:
        """Return what to send of the next piece; raises `TransformError`."""


class Collector:
    """Holds a small body back until it is whole, and passes on what `change` makes of it."""

    holds_head = True

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self._change = change
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes, *, last: bool) -> bytes:
        self._held.append(data)
        self._size += len(data)
        if self._size > _LARGEST_LIST:
            raise TransformError("the provider's list is too large")
        if not last:
            return b""
        try:
            return self._change(b"".join(self._held))
        except (ValueError, RecursionError):
            raise TransformError("the provider's list can't be read") from None


class UsageChunkFilter:
    """Keeps Chat Completions' last chunk, which has usage and no choices, from a client that did not ask for it."""

    holds_head = False

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes, *, last: bool) -> bytes:
        data = self._held + data
        self._held = b""
        if not last:
            end = _last_event_end(data)
            if len(data) - end <= _LARGEST_EVENT:
                data, self._held = data[:end], data[end:]
        if b'"usage"' not in data:
            return data
        return b"".join(event for event in _events(data) if not _is_usage_chunk(event))


def _last_event_end(data: bytes) -> int:
    return max(data.rfind(mark) + len(mark) if mark in data else 0 for mark in (b"\n\n", b"\r\n\r\n"))


def _events(data: bytes) -> list[bytes]:
    mark = b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n"
    parts = data.split(mark)
    return [part + mark for part in parts[:-1]] + parts[-1:]


def _is_usage_chunk(event: bytes) -> bool:
    compact = event.replace(b" ", b"")
    return b'"choices":[]' in compact and b'"usage":{' in compact
