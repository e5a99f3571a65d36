"""Other people's files: read with care, refused where writing would not be safe."""

import os
import stat
from pathlib import Path

from meshproxy_cli.errors import ConflictError

_WRITABLE = 0o222


class FileRefusedError(ConflictError):
    """A file that is not edited, and why. Nothing was written."""


def read(path: Path) -> bytes | None:
    """Return a file's bytes, or None if there is none. Raises `FileRefusedError`."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileRefusedError(f"{path} is no ordinary file")
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
