"""Tells the database whose the answers of this machine are, so that a follow-up may reach another one.

It reads the files that the workers of this machine note owners in (see `owners`), from where it stopped the last time;
what it hands in twice after a crash changes nothing. Where a machine has its database for itself, these files are
enough.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from meshproxy_cli.proxy.ownership.owners import LINE_BYTES, SHARED, SUFFIX, read_line
from meshproxy_cli.store.base import OwnerStore, StoreUnavailableError

SENT = "owners.sent"
_AT_ONCE = 1000
_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 15.0
_log = logging.getLogger(__name__)


def is_shared(database_url: str) -> bool:
    """Whether several machines may work on this database."""
    return not database_url.startswith("sqlite:")


class OwnerShipper:
    """Hands in what is new in the files of a directory."""

    def __init__(self, directory: Path, store: OwnerStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = directory
        self._store = store
        self._clock = clock
        self._sent = self._read_sent()  # how far, by a file's number: a file that is full gets another name
        self._delay = 0.0
        self._not_before = 0.0

    def run_once(self) -> int:
        """Hand in what there is; return how many lines were read (0 while the store is away)."""
        if self._clock() < self._not_before:
            return 0
        before = dict(self._sent)
        try:
            lines = sum(self._ship_file(path) for path in sorted(self._directory.glob("*" + SUFFIX)))
        except StoreUnavailableError as problem:
            self._delay = min(_LONGEST_DELAY_S, self._delay * 2 or _FIRST_DELAY_S)
            self._not_before = self._clock() + self._delay
            _log.info("other machines do not know this one's answers for now: %s", problem.message)
            lines = 0
        else:
            self._delay = 0.0
        if self._sent != before:
            self._write_sent()
        return lines

    def _ship_file(self, path: Path) -> int:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return 0  # it got its other name just now
        with file:
            status = os.fstat(file.fileno())
            number, lines = str(status.st_ino), 0
            start = self._sent.get(number, 0)
            file.seek(start if start <= status.st_size else 0)  # else: another file with the number of one that is gone
            while data := file.read(_AT_ONCE * LINE_BYTES):
                whole = len(data) - len(data) % LINE_BYTES
                self._hand_in(data[:whole])
                lines += whole // LINE_BYTES
                self._sent[number] = file.tell() - len(data) + whole
                if whole < len(data):
                    break  # a line that is being written
        return lines

    def _hand_in(self, data: bytes) -> None:
        found = {}
        for place in range(0, len(data), LINE_BYTES):
            line = read_line(data[place : place + LINE_BYTES])
            if line is not None and line.mark == SHARED:
                found[line.key.decode()] = line.owner.decode()
        self._store.add_owners(found)

    def _read_sent(self) -> dict[str, int]:
        try:
            found = json.loads((self._directory / SENT).read_bytes())
            return {str(number): int(sent) for number, sent in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _write_sent(self) -> None:
        there = {str(path.stat().st_ino) for path in self._directory.glob("*" + SUFFIX)}
        self._sent = {number: sent for number, sent in self._sent.items() if number in there}
        partial = self._directory / f"{SENT}.partial"
        partial.write_text(json.dumps(self._sent), encoding="ascii")
        partial.replace(self._directory / SENT)
