"""The spool: events on disk before the answer's last byte leaves, one append-only file per worker at a time.

A line is one event as JSON. A segment is locked (flock) for as long as its worker writes to it. So one that can be
locked has no writer any more, also after SIGKILL: the kernel drops the lock with the process. What is in the page cache
outlives the process; when it reaches the disk is left to the kernel.
"""

import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from meshproxy_cli.store.events import UsageEvent

SUFFIX = ".spool"

_log = logging.getLogger(__name__)
_ENCODER = msgspec.json.Encoder()
_LARGEST_SEGMENT = 16 * 1024 * 1024
_MOST_IN_MEMORY = 10_000


@dataclass(slots=True)
class SpoolCounters:
    """How much went through since the start of the process."""

    spooled: int = 0
    write_errors: int = 0
    lost: int = 0  # events for which neither disk nor memory had room


class Spool:
    """Where one worker puts its events. `append` is for the request path, the rest for the janitor thread."""

    def __init__(self, directory: Path, worker: int = 0, *, largest_segment: int = _LARGEST_SEGMENT) -> None:
        self.directory = directory
        self.counters = SpoolCounters()
        self._prefix = f"w{worker}-{os.getpid()}"
        self._largest_segment = largest_segment
        self._lock = threading.Lock()
        self._file = -1
        self._size = 0
        self._waiting: deque[bytes] = deque()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def in_memory(self) -> int:
        """How many lines wait for the disk to take them."""
        return len(self._waiting)

    def append(self, *events: UsageEvent) -> None:
        """Write events with one system call. Never raises: what the disk does not take is kept in memory."""
        self.write(encode(events), len(events))

    def write(self, lines: bytes, events: int = 1) -> None:
        """Write the lines of so many events, as `append` does."""
        with self._lock:
            if (not self._waiting or self._write_waiting()) and self._write(lines):
                self.counters.spooled += events
                return
            self._keep(lines)

    def rotate(self) -> None:
        """Close the current segment if it has anything, so that it can be shipped."""
        with self._lock:
            self._write_waiting()
            if self._size:
                self._close()

    def close(self) -> None:
        """Close the current segment for good. What the disk still does not take goes to the log."""
        with self._lock:
            if not self._write_waiting():
                for line in self._waiting:
                    self._lose(line)
                self._waiting.clear()
            self._close()

    def take_waiting(self) -> list[bytes]:
        """Hand over the lines that the disk does not take; `keep` those that can't be shipped either."""
        with self._lock:
            lines = [] if self._write_waiting() else list(self._waiting)
            if lines:
                self._waiting.clear()
            return lines

    def keep(self, lines: Iterable[bytes]) -> None:
        """Take lines back that `take_waiting` gave."""
        with self._lock:
            for line in lines:
                self._keep(line)

    def _write(self, line: bytes) -> bool:
        try:
            if self._file < 0 or self._size + len(line) > self._largest_segment:
                self._close()
                self._file = open_segment(self.directory, self._prefix)
            written = os.write(self._file, line)
        except OSError as problem:
            return self._failed(problem.strerror or "error")
        if written != len(line):
            os.ftruncate(self._file, self._size)  # half a line would be lost, and the next one with it
            return self._failed("disk full")
        self._size += written
        return True

    def _failed(self, reason: str) -> bool:
        if self.counters.write_errors == 0 or not self._waiting:
            _log.error("The usage spool in %s can't be written (%s); events are kept in memory", self.directory, reason)
        self.counters.write_errors += 1
        return False

    def _keep(self, line: bytes) -> None:
        if len(self._waiting) < _MOST_IN_MEMORY:
            self._waiting.append(line)
        else:
            self._lose(line)

    def _lose(self, line: bytes) -> None:
        self.counters.lost += line.count(b"\n")
        _log.critical("A usage event has no place but this log: %s", line.decode(errors="replace").strip())

    def _write_waiting(self) -> bool:
        while self._waiting:
            if not self._write(self._waiting[0]):
                return False
            self.counters.spooled += self._waiting.popleft().count(b"\n")
        return True

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size = -1, 0


def open_segment(directory: Path, prefix: str) -> int:
    """Create a segment, locked, and return its descriptor. Raises `OSError`."""
    while True:
        path = directory / f"{time.time_ns():020d}-{prefix}{SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_nlink:
                return file
        except BlockingIOError:
            pass  # a shipper looked at it in between and removes it: it was empty
        os.close(file)


def claim(path: Path) -> int | None:
    """Lock a segment that no one writes or ships, and return its descriptor; None where someone does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_nlink:
            return file
    except BlockingIOError:
        pass
    os.close(file)
    return None


def segments(directory: Path) -> list[Path]:
    """Return the segments that lie there, the oldest first."""
    return sorted(directory.glob(f"*{SUFFIX}"))


def waiting_s(directory: Path) -> float:
    """Return for how long the oldest segment has been there to be shipped, 0.0 without any."""
    for path in segments(directory):
        with suppress(FileNotFoundError):  # shipped just now
            return max(0.0, time.time() - path.stat().st_mtime)
    return 0.0


def encode(events: Iterable[UsageEvent]) -> bytes:
    """Return events as a segment holds them."""
    return b"".join(_encode_one(event) + b"\n" for event in events)


def _encode_one(event: UsageEvent) -> bytes:
    try:
        return _ENCODER.encode(event)
    except ValueError:  # half a surrogate pair somewhere: text that is no Unicode
        values = msgspec.to_builtins(event)
        return _ENCODER.encode({name: _mended(value) for name, value in values.items()})


def _mended(value: object) -> object:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value
