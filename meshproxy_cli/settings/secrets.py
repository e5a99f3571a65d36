"""Secrets by name: in the OS keyring, or where there is none in a file that only its owner can read.

Names: `api-key/<server>`, `token/<server>/<room>`, `access-token/<server>`, `provider/<name>`, `master-key`.
`MESHPROXY_KEYRING` is `os`, `file` or `auto` (default: the keyring, and the file where that can't be used).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from meshproxy_cli.configedit.atomic import locked
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.oskeyring import KeyringState, KeyringUnusableError, OsKeyring
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secretfile import (
    Document,
    Place,
    Record,
    move_former_file,
    read_current,
    read_document,
    write_document,
)

MAX_VALUE = 1280  # Windows Credential Manager takes 2,560 bytes of UTF-16
TIME_LIMIT_S = 3.0
_TITLES = {
    "api-key": "API key",
    "token": "participant token",
    "access-token": "access token",
    "provider": "provider key",
    "master-key": "master key",
}


class KeyringMode(StrEnum):
    """Where new secrets go."""

    AUTO = "auto"
    OS = "os"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """A secret's name and place, and the name under which a keyring program shows it."""

    name: str
    place: Place
    service: str


@dataclass(frozen=True, slots=True)
class KeyringStatus:
    """How the OS keyring is; `problem` is for a person, empty where it is usable."""

    state: KeyringState
    backend: str | None
    problem: str = ""


class SecretStore:
    """The secrets of this user. Methods raise `KeyringUnusableError`, `SecretsFileError` and `WriteError`.

    `warn` is called with one line whenever a secret is written to the file although the keyring was wanted.
    """

    def __init__(self, paths: Paths, mode: KeyringMode, keyring: OsKeyring, warn: Callable[[str], None]) -> None:
        self._paths = paths
        self._mode = mode
        self._keyring = keyring
        self._warn = warn

    @property
    def mode(self) -> KeyringMode:
        """Where new secrets go."""
        return self._mode

    @property
    def path(self) -> Path:
        """The secrets file."""
        return self._paths.current_secrets_file

    def get(self, name: str) -> str | None:
        """Return a secret's value, or None where there is none of that name."""
        record = read_current(self._paths).records.get(name)
        return None if record is None else self._value(name, record)

    def set(self, name: str, value: str) -> Place:
        """Keep a secret and return where; an unchanged one is not written again."""
        _check(name, value)
        with self._lock():
            document = read_document(self.path)
            record = document.records.get(name)
            if record is not None and self._unchanged(name, record, value):
                return record.place
            return self._store(document, name, value)

    def delete(self, name: str) -> bool:
        """Remove a secret; return whether there was one. One that can't be removed stays listed."""
        with self._lock():
            document = read_document(self.path)
            record = document.records.get(name)
            if record is None:
                return False
            if record.place is Place.OS or record.stale:
                self._reachable(name).delete(self._service(name), name)
            write_document(self.path, document.drop(name))
            return True

    def names(self) -> tuple[SecretEntry, ...]:
        """Return what is kept and where, in order of names; the keyring is not asked."""
        records = read_current(self._paths).records
        return tuple(SecretEntry(name, records[name].place, self._service(name)) for name in sorted(records))

    def move(self, name: str, to: Place) -> bool:
        """Move a secret; return whether it had to be. Its old place is emptied once the new one gave it back."""
        with self._lock():
            document = read_document(self.path)
            record = document.records.get(name)
            if record is None or (record.place is to and not record.stale):
                return False
            value = self._value(name, record)
            if value is None:
                return False
            if to is Place.OS:
                self._to_keyring(document, name, value)
            else:
                self._to_file(document, name, value)
                self._forget_stale(name)
            return True

    def keyring_status(self) -> KeyringStatus:
        """Ask the OS keyring for an item that is never there, to see whether it answers; writes nothing."""
        if self._mode is KeyringMode.FILE:
            return KeyringStatus(KeyringState.ABSENT, None, "MESHPROXY_KEYRING=file: the OS keyring is not used")
        try:
            self._keyring.get("meshproxy: is anybody there", "probe")
        except KeyringUnusableError as problem:
            return KeyringStatus(problem.state, self._keyring.backend_name, problem.message)
        return KeyringStatus(KeyringState.USABLE, self._keyring.backend_name)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with locked(self._paths.secrets_file):
            move_former_file(self._paths)
            yield

    def _value(self, name: str, record: Record) -> str | None:
        if record.place is Place.FILE:
            return record.value
        return self._reachable(name).get(self._service(name), name)

    def _reachable(self, name: str) -> OsKeyring:
        if self._mode is KeyringMode.FILE:
            raise KeyringUnusableError(
                KeyringState.ABSENT,
                f"the secret {name} lies in the OS keyring, which MESHPROXY_KEYRING=file leaves alone",
                hint="unset MESHPROXY_KEYRING, or move it: MESHPROXY_KEYRING=os meshproxy secret move --to file",
            )
        return self._keyring

    def _unchanged(self, name: str, record: Record, value: str) -> bool:
        wanted = Place.FILE if self._mode is KeyringMode.FILE else Place.OS
        if record.place is not wanted:
            return False
        try:
            return self._value(name, record) == value
        except KeyringUnusableError:
            return False

    def _store(self, document: Document, name: str, value: str) -> Place:
        if self._mode is not KeyringMode.FILE:
            try:
                self._to_keyring(document, name, value)
            except KeyringUnusableError as problem:
                if self._mode is KeyringMode.OS:
                    raise
                self._warn(f"{problem.message}: the secret {name} is kept unencrypted in {self.path} (mode 0600)")
            else:
                return Place.OS
        self._to_file(document, name, value)
        return Place.FILE

    def _to_keyring(self, document: Document, name: str, value: str) -> None:
        if len(value) >= MAX_VALUE:
            raise KeyringUnusableError(
                KeyringState.BROKEN,
                f"{name} has {len(value):,} characters, and some keyrings take fewer than {MAX_VALUE:,}",
                hint="MESHPROXY_KEYRING=file keeps it in a file instead",
            )
        if name not in document.records:
            # Listed first: a crash in between must not leave an item in the keyring that `logout` knows nothing of.
            write_document(self.path, document.put(name, Record(Place.OS)))
        try:
            self._keyring.set(self._service(name), name, value)
        except KeyringUnusableError:
            if name not in document.records:
                write_document(self.path, document)
            raise
        document = replace(document, backend=self._keyring.backend_name)
        write_document(self.path, document.put(name, Record(Place.OS)))

    def _to_file(self, document: Document, name: str, value: str) -> None:
        record = document.records.get(name)
        stale = record is not None and (record.place is Place.OS or record.stale)
        write_document(self.path, document.put(name, Record(Place.FILE, value, stale=stale)))

    def _forget_stale(self, name: str) -> None:
        self._reachable(name).delete(self._service(name), name)
        document = read_document(self.path)
        write_document(self.path, document.put(name, replace(document.records[name], stale=False)))

    def _service(self, name: str) -> str:
        """Return the name under which a person finds the item in their keyring program."""
        kind, _, rest = name.partition("/")
        about = f" ({rest})" if rest else ""
        # One user's items under different MESHPROXY_HOME never meet.
        where = f" [{self._paths.home}]" if self._paths.home else ""
        return f"meshproxy: {_TITLES.get(kind, kind)}{about}{where}"


def open_secrets(
    paths: Paths, environ: Mapping[str, str], *, warn: Callable[[str], None] = lambda _line: None
) -> SecretStore:
    """Return this user's secrets. Nothing is read or imported before the first use. Raises `UsageError`."""
    mode = _mode(environ.get("MESHPROXY_KEYRING", "") or KeyringMode.AUTO)
    keyring = OsKeyring(time_limit_s=_time_limit(environ), remembered=lambda: read_current(paths).backend)
    return SecretStore(paths, mode, keyring, warn)


def _mode(text: str) -> KeyringMode:
    try:
        return KeyringMode(text.lower())
    except ValueError:
        allowed = ", ".join(KeyringMode)
        raise UsageError(f"MESHPROXY_KEYRING is {text!r}; it can be {allowed}") from None


def _time_limit(environ: Mapping[str, str]) -> float:
    text = environ.get("MESHPROXY_KEYRING_TIMEOUT", "")
    try:
        limit = float(text) if text else TIME_LIMIT_S
    except ValueError:
        limit = 0
    if not 0 < limit <= 600:  # noqa: PLR2004 (also keeps out nan and inf)
        raise UsageError(f"MESHPROXY_KEYRING_TIMEOUT is {text!r}; it is a number of seconds from 0.1 to 600")
    return limit


def _check(name: str, value: str) -> None:
    if not name or not name.isprintable():
        raise UsageError(f"{name!r} can't be the name of a secret")
    if not value or not value.isprintable():
        raise UsageError(f"the value of {name} is empty or holds characters that no secret has, such as a line break")
