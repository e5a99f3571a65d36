"""Other people's files: read with care, parsed once, refused if writing would not be safe."""

import os
import stat
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, TypeVar

from meshproxy_cli.configedit.formats.document import Document, FormatError
from meshproxy_cli.configedit.formats.opening import open_document
from meshproxy_cli.errors import ConflictError

_WRITABLE = 0o222
T = TypeVar("T")


class FileRefusedError(ConflictError):
    """A file that is not edited, and why. Nothing was written."""


class Files:
    """The files of one run: each is read once, and parsed once by each parser, however many steps look at it."""

    def __init__(self) -> None:
        self._contents: dict[Path, bytes | None] = {}
        self._parsed: dict[tuple[Path, object], Any] = {}

    def read(self, path: Path) -> bytes | None:
        """Return a file's bytes, or None if there is none. Raises `FileRefusedError`."""
        if path not in self._contents:
            self._contents[path] = read(path)
        return self._contents[path]

    def parsed(self, path: Path, parse: Callable[[bytes], T]) -> T:
        """Return what `parse` makes of a file's bytes (an absent file is empty)."""
        if (path, parse) not in self._parsed:
            self._parsed[path, parse] = parse(self.read(path) or b"")
        found: T = self._parsed[path, parse]
        return found

    def document(self, path: Path, format_name: str) -> Document:
        """Return the document in a file, as a copy that can be edited. Raises `FormatError`."""
        if (path, format_name) not in self._parsed:
            self._parsed[path, format_name] = open_document(format_name, self.read(path) or b"")
        # No document changes what it holds in place, so that a shallow copy is one of its own.
        found: Document = copy(self._parsed[path, format_name])
        return found

    def values(self, path: Path, format_name: str) -> dict[str, Any]:
        """Return a file's values; an empty dict if it is missing or does not parse (the edit reports that)."""
        if self.read(path) is None:
            return {}
        try:
            return self.document(path, format_name).plain()
        except FormatError:
            return {}

    def written(self, path: Path, data: bytes | None) -> None:
        """Note what a file holds now, so that it need not be read again."""
        self._contents[path] = data
        self._parsed = {key: value for key, value in self._parsed.items() if key[0] != path}


def read(path: Path) -> bytes | None:
    """Return a file's bytes, or None if there is none. Raises `FileRefusedError`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileRefusedError(f"{path} is not a regular file")
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir():
            raise FileRefusedError(f"{path} is a link to a directory that does not exist") from None
        return None
    except OSError as problem:
        raise FileRefusedError(f"{path} can't be read: {problem.strerror or problem}") from problem


def require_writable(path: Path) -> None:
    """Raise `FileRefusedError` for a file or directory that is kept read-only; a symlink's target counts.

    The write bits are looked at too: root, and a rename, would get past them.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and (not target.stat().st_mode & _WRITABLE or not os.access(target, os.W_OK)):
        raise FileRefusedError(
            f"{path} is read-only; nothing was changed",
            hint="make it writable, or add the snippet by hand: the same command with --print",
        )
    directory = nearest_directory(target.parent)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise FileRefusedError(
            f"{directory} is read-only, so {path} can't be replaced; nothing was changed",
            hint="add the snippet where the file is made: the same command with --print",
        )


def nearest_directory(directory: Path) -> Path:
    """Return the directory, or the nearest one above it that exists."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory


def missing_directories(path: Path) -> tuple[Path, ...]:
    """Return the directories above `path` that writing it will make, innermost first."""
    missing: list[Path] = []
    directory = path.parent
    while not directory.exists() and directory != directory.parent:
        missing.append(directory)
        directory = directory.parent
    return tuple(missing)
