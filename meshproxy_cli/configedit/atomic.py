"""Writes that are whole or not at all, and a lock between processes."""

import contextlib
import glob
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from meshproxy_cli.errors import ConflictError, MeshproxyError, UsageError

LOCK_TIMEOUT_S = 10.0
_POLL_S = 0.005
_PRIVATE_DIR = 0o700
_PRIVATE_FILE = 0o600
_MOST_LINKS = 40  # as the kernel
_STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTORS = {"/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"}


class WriteError(MeshproxyError):
    """A file can't be written; what was there is unchanged."""


class LockedError(ConflictError):
    """Another process has held the lock for longer than `LOCK_TIMEOUT_S`."""


def write_atomic(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace the content of `path` as a whole: a reader, or a crash, sees the old bytes or the new ones.

    An existing file keeps its mode and owner, and a symlink is followed to its target. A new file gets `mode`
    (default 0600), and directories that are missing are made for the owner alone. Raises `WriteError`.
    """
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
        with _replacement(target, mode) as file:
            file.write(data)
    except OSError as problem:
        raise WriteError(
            f"{path} can't be written: {problem.strerror or problem}; it is unchanged",
            hint=f"check the permissions of {target.parent} and the room on its disk",
        ) from problem


@contextlib.contextmanager
def replacing(
    path: Path, *, mode: int | None = None, exclusive: bool = False, parents: bool = False
) -> Iterator[IO[bytes]]:
    """Give a file for what a person wants to have in `path`: it appears there when it is whole.

    As `write_atomic`; but a device, a pipe or this process's own output (`/dev/stdout`) is written into, since a file
    in its place would be no use. With `exclusive`, a file that exists is not replaced; with `parents`, missing
    directories are made. Raises `WriteError`, `UsageError`.
    """
    try:
        descriptor = _opened(path)
        if descriptor is not None:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise UsageError(f"{path} is a folder", hint="give the name of a file")
        if exclusive and target.exists():
            raise UsageError(f"{path} exists", hint="--force replaces it")
        if parents:
            target.parent.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
        with _replacement(target, mode) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise WriteError(f"{path} can't be written: {problem.strerror or problem}") from problem


def _opened(path: Path) -> int | None:
    """Open what is no ordinary file for writing; None where an ordinary one is meant."""
    number = _own_descriptor(path)
    if number is not None:
        return os.dup(number)  # opened again, a file behind it would be cut off and lose what was written before
    existing = _status(path)
    if existing is None or stat.S_ISREG(existing.st_mode) or stat.S_ISDIR(existing.st_mode):
        return None
    return os.open(path, os.O_WRONLY)


def _own_descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path such as `/dev/stdout`, or a link to it, stands for."""
    for _ in range(_MOST_LINKS):
        place = Path(os.path.abspath(path))  # noqa: PTH100 (a link's `..` may be taken by its text here)
        if str(place) in _STREAMS:
            return _STREAMS[str(place)]
        if str(place.parent) in _DESCRIPTORS and place.name.isascii() and place.name.isdigit():
            return int(place.name)
        if not place.is_symlink():
            return None
        path = place.parent / place.readlink()
    return None


@contextlib.contextmanager
def _replacement(target: Path, mode: int | None) -> Iterator[IO[bytes]]:
    import tempfile  # noqa: PLC0415 (most commands only read)

    existing = _status(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            _match(file.fileno(), temporary, existing, mode)
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def _status(target: Path) -> os.stat_result | None:
    try:
        return target.stat()
    except FileNotFoundError:
        return None


def _match(descriptor: int, temporary: Path, existing: os.stat_result | None, mode: int | None) -> None:
    """Give the new file the old one's owner and mode."""
    if existing is not None and sys.platform != "win32":
        ours = os.fstat(descriptor)
        if (ours.st_uid, ours.st_gid) != (existing.st_uid, existing.st_gid):
            os.fchown(descriptor, existing.st_uid, existing.st_gid)
    temporary.chmod(stat.S_IMODE(existing.st_mode) if existing is not None else mode or _PRIVATE_FILE)


def _sync_directory(directory: Path) -> None:
    """Make the rename itself survive a power cut, where directories can be opened."""
    if sys.platform == "win32":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock of `path` against other processes and threads; not reentrant. Raises `LockedError`.

    The lock is a file beside the target of `path` that is gone once it is released. The kernel lets go of it when
    its holder dies, however that happens.
    """
    target = Path(os.path.realpath(path))
    lock = target.with_name(f".{target.name}.lock")
    try:
        lock.parent.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
        descriptor = _acquire(lock, time.monotonic() + timeout_s)
    except OSError as problem:
        raise WriteError(f"{lock} can't be written: {problem.strerror or problem}") from problem
    if descriptor is None:
        raise LockedError(
            f"another process has been writing {target} for more than {timeout_s:g} s; nothing was changed",
            hint="try again when it is done",
        )
    try:
        _remove_leftovers(target)
        yield
    finally:
        _release(lock, descriptor)


def _remove_leftovers(target: Path) -> None:
    """Remove what a writer left that was killed: it may hold secrets, and nobody else writes under this lock."""
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)


def _acquire(lock: Path, deadline: float) -> int | None:
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
        if _try_lock(descriptor) and _is_current(lock, descriptor):
            return descriptor
        os.close(descriptor)
        if time.monotonic() >= deadline:
            return None
        time.sleep(_POLL_S)


def _is_current(lock: Path, descriptor: int) -> bool:
    """Whether the locked file is still the one under that name: its last holder removes it when done."""
    try:
        return os.path.samestat(lock.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(lock: Path, descriptor: int) -> None:
        # An open file can't be removed here; who opens it next finds it unlocked.
        del lock
        os.close(descriptor)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(lock: Path, descriptor: int) -> None:
        lock.unlink(missing_ok=True)
        os.close(descriptor)
