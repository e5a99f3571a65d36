"""Which room an id of the provider belongs to: all rooms share the provider's account, so the proxy has to know.

Ids are appended to a file per worker before the client sees the end of the answer that has them, and read by every
worker of the machine: so a follow-up finds its answer whichever worker it reaches, also after a restart. Machines that
share a database hand in what they noted (`ownershipper`), and look up what they have not seen (`ownerlookup`).
"""

import functools
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.usage.reading import AnswerItem

SUFFIX = ".owners"
_MOST_IDS = 200_000
_LARGEST_FILE = 16 * 1024 * 1024
LINE_BYTES = 65  # 32 hex digits of the id, a mark, 31 of the owner, a line end
#: Marks of a line: for other machines, too, or for this one only.
SHARED, OWN = b" ", b"-"
_LONGEST_ROOM = 200
_HEX = frozenset(b"0123456789abcdef")


class Line(NamedTuple):
    """A line of a file: hashes of an id and its owner, in hex digits."""

    key: bytes
    mark: bytes
    owner: bytes


def read_line(data: bytes) -> Line | None:
    """Return what a line of `LINE_BYTES` says, None for one that a crash tore."""
    line = Line(data[:32], data[32:33], data[33:64])
    return line if line.mark in {SHARED, OWN} and _HEX.issuperset(line.key + line.owner) else None


class Owners:
    """A bounded memory of ids, kept as hashes: nothing in the files tells of ids or rooms."""

    def __init__(self, directory: Path, worker: int) -> None:
        self._directory = directory
        self._name = f"{worker}{SUFFIX}"
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._read_to: dict[str, int] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = self._open()
        self._size = os.fstat(self._file).st_size
        if torn := self._size % LINE_BYTES:  # a crash, or a full disk: later lines must stay in step
            self._size += os.write(self._file, b" " * (LINE_BYTES - torn - 1) + b"\n")
        self._refresh()

    @staticmethod
    def key(ident: str) -> bytes:
        """Return the hash by which an id is known."""
        return _hash(ident)[:32]

    def record(self, caller: Caller, ident: str, *, shared: bool = True) -> None:
        """Remember that an id belongs to the caller's room; nothing for "".

        `shared`: the provider keeps the answer, so a follow-up may come to another machine.
        """
        if ident:
            self._append(caller, [(ident, shared)])

    def record_answer(self, caller: Caller, ident: str, items: Iterable[AnswerItem], *, stored: bool) -> None:
        """Remember an answer, and what it brought, as the caller's room's.

        `stored`: the provider keeps the answer. Of one that it does not keep, only those items are remembered that a
        later request cannot repeat as a whole.
        """
        kept = [(item.id, True) for item in items if stored or not item.whole]
        self._append(caller, [(ident, stored), *kept] if ident else kept)

    def _append(self, caller: Caller, idents: list[tuple[str, bool]]) -> None:
        owner = _owner(caller)[:31]
        lines = []
        for ident, shared in idents:
            key = self.key(ident)
            self._remember(key, owner)
            lines.append(key + (SHARED if shared else OWN) + owner + b"\n")
        if not lines:
            return
        try:
            self._size += os.write(self._file, b"".join(lines))
            if self._size > _LARGEST_FILE:
                self._rotate()
        except OSError:
            return  # the id is in memory still: a full disk must not fail a request

    def owns(self, caller: Caller, ident: str) -> bool:
        """Whether an id belongs to the caller's room."""
        return self.knows(ident) and self._known[self.key(ident)] == _owner(caller)[:31]

    def knows(self, ident: str) -> bool:
        """Whether this machine has seen an id, whosever it is."""
        key = self.key(ident)
        if key not in self._known:
            self._refresh()
        return key in self._known

    def learn(self, key: bytes, owner: bytes) -> None:
        """Remember what another machine noted, both as in `Line`."""
        self._remember(key, owner)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _open(self) -> int:
        return os.open(self._directory / self._name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _rotate(self) -> None:
        path = self._directory / self._name
        path.replace(path.with_suffix(".old" + SUFFIX))
        os.close(self._file)
        self._file = self._open()
        self._size = 0
        self._read_to.pop(self._name, None)

    def _refresh(self) -> None:
        """Read what any worker has written since the last time."""
        for path in sorted(self._directory.glob("*" + SUFFIX)):
            try:
                with path.open("rb") as file:
                    start = self._read_to.get(path.name, 0)
                    if start > os.fstat(file.fileno()).st_size:
                        start = 0
                    file.seek(start)
                    data = file.read()
            except OSError:
                continue
            whole = len(data) - len(data) % LINE_BYTES
            self._read_to[path.name] = start + whole
            for place in range(0, whole, LINE_BYTES):
                self._remember(data[place : place + 32], data[place + 33 : place + 64])

    def _remember(self, key: bytes, owner: bytes) -> None:
        self._known.setdefault(key, owner)  # the first one stays
        if len(self._known) > _MOST_IDS:
            self._known.popitem(last=False)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest().encode()


def _owner(caller: Caller) -> bytes:
    hashed = _room_hash if len(caller.room) <= _LONGEST_ROOM else _room_hash.__wrapped__  # kept for short names only
    return hashed(caller.project_id, caller.room)


@functools.lru_cache(maxsize=4096)
def _room_hash(project_id: str, room: str) -> bytes:
    return _hash(f"{project_id}\0{room}")
