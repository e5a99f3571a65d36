"""What was changed in other programs' files: one receipt for each agent and profile, enough to undo it.

A receipt holds values from before (of the person's own files), so it is kept with mode 0600.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from meshproxy_cli.configedit.atomic import write_atomic
from meshproxy_cli.configedit.desired import Slot
from meshproxy_cli.configedit.slots import PreviousValue
from meshproxy_cli.errors import MeshproxyError

_VERSION = 1


class Write(Protocol):
    """Replace a file as a whole, as `write_atomic` does."""

    def __call__(self, path: Path, data: bytes, *, mode: int | None = None) -> None: ...


class ReceiptError(MeshproxyError):
    """A receipt can't be understood."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """A slot, what it held before, and the hash of what we wrote (None where we took the key away).

    For `lasting` see `Setting`.
    """

    before: PreviousValue
    written: str | None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file: hashes of all of it before and after, and where its bytes from before lie.

    `before` is None for a file that did not exist. The last of `backups` is the one to go back to. `replaced` is the
    hash of what the last run found: after a crash the file may still be that. `mode` is what the file's mode was
    where it had to be changed.
    """

    path: Path
    format: str
    before: str | None
    after: str
    keys: tuple[KeyRecord, ...]
    replaced: str | None = None
    backups: tuple[Path, ...] = ()
    mode: int | None = None
    created_directories: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for, in the words of whoever asked: kept so that it can be listed, checked and repeated."""

    agent: str
    profile: str
    room: str
    server: str
    server_url: str
    session: str
    credentials: str
    model: str | None
    scope: str = "user"  # or "project" or "env-file"
    make_default: bool = False
    standalone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Request):
    """What was changed for one request.

    `place` is the path of the main file: it distinguishes two receipts of one agent and profile.
    """

    place: str
    written_at: int  # Unix seconds
    files: tuple[FileRecord, ...]

    @property
    def name(self) -> str:
        """The receipt's file name."""
        return receipt_name(self.agent, self.profile, Path(self.place))

    def file(self, path: Path) -> FileRecord | None:
        """Return the record of one file."""
        return next((record for record in self.files if record.path == path), None)


def file_hash(data: bytes | None) -> str | None:
    """Return the hash by which a file's content is known; None for a file that is not there."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def receipt_name(agent: str, profile: str, place: Path) -> str:
    """Return the file name of a receipt."""
    return f"{agent}-{profile}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}.json"


def save(directory: Path, receipt: Receipt, write: Write = write_atomic) -> None:
    """Write a receipt. Raises `WriteError`."""
    data = json.dumps({"version": _VERSION} | asdict(receipt), indent=2, default=str)
    write(directory / receipt.name, data.encode() + b"\n", mode=0o600)


def find(directory: Path, agent: str, profile: str, place: Path) -> Receipt | None:
    """Return the receipt of an earlier run for the same main file. Raises `ReceiptError`."""
    wanted = (agent, profile, str(place))
    return next((one for one in load_all(directory) if (one.agent, one.profile, one.place) == wanted), None)


def load_all(directory: Path) -> tuple[Receipt, ...]:
    """Return all receipts, the oldest first. Raises `ReceiptError`."""
    found, damaged = load_readable(directory)
    for problem in damaged.values():
        raise problem
    return found


def load_readable(directory: Path) -> tuple[tuple[Receipt, ...], Mapping[Path, ReceiptError]]:
    """Return the receipts that can be read, the oldest first, and why the others can't."""
    found: list[Receipt] = []
    damaged: dict[Path, ReceiptError] = {}
    paths = directory.glob("*.json") if directory.is_dir() else ()
    # A second may hold several: those are in the order of their files.
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
        try:
            found.append(load(path))
        except ReceiptError as problem:
            damaged[path] = problem
    return tuple(sorted(found, key=lambda receipt: receipt.written_at)), damaged


def load(path: Path) -> Receipt:
    """Return the receipt in a file. Raises `ReceiptError`."""
    try:
        return _receipt(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ReceiptError(
            f"the receipt {path} can't be read: {type(problem).__name__}",
            hint="it tells how to undo `configure`; the backups lie beside the agent's files",
        ) from problem


def _receipt(data: Mapping[str, Any]) -> Receipt:
    if data["version"] != _VERSION:
        raise ValueError(data["version"])
    fields = {key: value for key, value in data.items() if key not in {"version", "files"}}
    return Receipt(**fields, files=tuple(_file(item) for item in data["files"]))


def _file(data: Mapping[str, Any]) -> FileRecord:
    return FileRecord(
        path=Path(data["path"]),
        format=data["format"],
        before=data["before"],
        after=data["after"],
        keys=tuple(_key(item) for item in data["keys"]),
        replaced=data["replaced"],
        mode=data["mode"],
        backups=tuple(Path(item) for item in data["backups"]),
        created_directories=tuple(Path(item) for item in data["created_directories"]),
    )


def _key(data: Mapping[str, Any]) -> KeyRecord:
    held = data["before"]
    slot = Slot(tuple(held["slot"]["path"]), held["slot"]["header"])
    created = tuple(tuple(path) for path in held["created"])
    return KeyRecord(PreviousValue(slot, held["raw"], created), data["written"], data["lasting"])
