"""How `meshproxy serve` tells `meshproxy reload` what became of a new configuration.

Each server has a file of its own, `serve-PID.json` in the state directory, and holds a lock on it for as long as it
runs: a process id alone may belong to somebody else by now, who must not get a signal.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from meshproxy_cli.settings.paths import Paths

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """What a server goes by: `generation` is 0 at its start and one more after each reload, refused ones too.

    `problem` says why the last one was refused ("" where it was not), `changes` what it changed, `processes` how many
    have taken it over. `digest` is that of the file's text. None of it holds a secret.
    """

    generation: int
    config_file: str
    digest: str
    processes: int = 0
    problem: str = ""
    changes: tuple[str, ...] = ()


class ReloadStatusFile:
    """The server's end. Raises `OSError` where the file can't be written."""

    def __init__(self, paths: Paths, pid: int) -> None:
        paths.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_leftovers(paths)
        self._path = _file(paths, pid)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def publish(self, report: ReloadReport) -> None:
        """Write a report down. In place, since the lock belongs to this very file."""
        data = json.dumps(asdict(report)).encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))

    def close(self) -> None:
        """Take it away: the server ends."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def read_report(paths: Paths, pid: int) -> ReloadReport | None:
    """Return what the server of that process id said last; None where no such server runs, or it is just writing."""
    path = _file(paths, pid)
    if not _is_held(path):
        return None
    try:
        found = json.loads(path.read_bytes())
        return ReloadReport(**{**found, "changes": tuple(found["changes"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_running(paths: Paths, pid: int) -> bool:
    """Whether the process of that id is a server of this user."""
    return _is_held(_file(paths, pid))


def _file(paths: Paths, pid: int) -> Path:
    return paths.state_dir / f"serve-{pid}.json"


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _remove_leftovers(paths: Paths) -> None:
    """Remove what servers left behind that were killed."""
    for path in paths.state_dir.glob("serve-*.json"):
        if not _is_held(path):
            path.unlink(missing_ok=True)
