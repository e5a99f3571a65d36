"""The file that says which secrets exist and where, and holds those that no OS keyring took."""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from meshproxy_cli.configedit.atomic import locked, write_atomic
from meshproxy_cli.errors import CredentialError
from meshproxy_cli.settings.paths import Paths

_VERSION = 1
_PRIVATE_DIR = 0o700
_PRIVATE_FILE = 0o600
_OF_OTHERS = 0o077


class SecretsFileError(CredentialError):
    """The secrets file can't be trusted or understood; it was not changed."""


class Place(StrEnum):
    """Where a secret lies."""

    OS = "os"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Record:
    """One secret: `value` only where it lies in the file; `stale` says that the OS keyring holds an older value."""

    place: Place
    value: str | None = field(default=None, repr=False)
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """The file's content; `backend` names the keyring backend that took the last secret."""

    records: Mapping[str, Record] = field(default_factory=dict)
    backend: str | None = None

    def put(self, name: str, record: Record) -> "Document":
        """Return the document with that secret in it."""
        return Document({**self.records, name: record}, self.backend)

    def drop(self, name: str) -> "Document":
        """Return the document without that secret."""
        return Document({key: record for key, record in self.records.items() if key != name}, self.backend)


def read_document(path: Path) -> Document:
    """Return what the file says; an absent file is an empty document. Raises `SecretsFileError`."""
    try:
        with path.open("rb") as file:
            _refuse_if_shared(path, os.fstat(file.fileno()))
            content = file.read()
    except FileNotFoundError:
        return Document()
    except OSError as problem:
        raise SecretsFileError(f"{path} can't be read: {problem.strerror}") from problem
    try:
        return _parse(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError):
        # Raised bare: the parser's own error quotes the content.
        raise SecretsFileError(
            f"{path} is damaged", hint="restore it from a backup, or save what can be read: meshproxy secret repair"
        ) from None


def damaged(problem: SecretsFileError) -> bool:
    """Whether the file could be read, and not understood."""
    return problem.message.endswith("is damaged")


def write_document(path: Path, document: Document) -> None:
    """Write the file, readable by its owner alone, in a directory that nobody else can enter."""
    records = {name: {"place": record.place, **_optional(record)} for name, record in sorted(document.records.items())}
    content = {"version": _VERSION, "backend": document.backend, "secrets": records}
    write_atomic(path, json.dumps(content, indent=1).encode() + b"\n", mode=_PRIVATE_FILE)
    if os.name != "nt" and path.parent.stat().st_mode & _OF_OTHERS:
        path.parent.chmod(_PRIVATE_DIR)


def read_current(paths: Paths) -> Document:
    """Return what the secrets file says, wherever it is; no lock is needed. Raises `SecretsFileError`."""
    path = paths.current_secrets_file
    document = read_document(path)
    # Another process may have moved it between the two lines above.
    return document if path.exists() else read_document(paths.secrets_file)


def move_former_file(paths: Paths) -> None:
    """Move the secrets file from beside the database, where 0.1.0 kept it; call with the lock of the new place held.

    The new file is complete before the old one goes, and one that can't be read stays where it is.
    """
    former, target = paths.former_secrets_file, paths.secrets_file
    if target.exists() or not former.exists():
        return
    with locked(former):
        write_document(target, read_document(former))
        former.unlink()


def _optional(record: Record) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {}
    if record.value is not None:
        found["value"] = record.value
    if record.stale:
        found["stale"] = True
    return found


def _refuse_if_shared(path: Path, status: os.stat_result) -> None:
    if os.name != "nt" and status.st_mode & _OF_OTHERS:
        raise SecretsFileError(
            f"{path} holds secrets and others can read it (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod 600 {path}; replace the keys in it if somebody may have read them",
        )


def _parse(content: dict[str, object]) -> Document:
    if content["version"] != _VERSION:
        raise ValueError
    secrets = content["secrets"]
    backend = content.get("backend")
    if not isinstance(secrets, dict) or not isinstance(backend, str | None):
        raise TypeError
    return Document({str(name): parse_record(found) for name, found in secrets.items()}, backend)


def parse_record(found: Mapping[str, object]) -> Record:
    """Return one secret of the file. Raises `KeyError`, `TypeError` or `ValueError`, which may quote the value."""
    place, value = Place(str(found["place"])), found.get("value")
    if not isinstance(value, str | None) or (place is Place.FILE and value is None):
        raise TypeError
    return Record(place, value, bool(found.get("stale", False)))
