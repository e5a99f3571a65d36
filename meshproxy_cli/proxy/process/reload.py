"""A new configuration while the server runs: read and checked by the parent, then by every process, then in force.

What runs goes on with what it began with. A configuration that anybody refuses changes nothing anywhere.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.config.server import ServerConfig
from meshproxy_cli.proxy.process.config_diff import differences
from meshproxy_cli.proxy.process.control import Abort, Broadcast, Change, Commit, Controlled, Prepare

_LIMIT_S = 15.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was read and found good."""

    config_text: str
    secrets: dict[str, str] = field(repr=False)
    config: ServerConfig

    @property
    def digest(self) -> str:
        """A short digest of the file's text."""
        return hashlib.sha256(self.config_text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a reload: `problem` is "" where it was applied, by that many `processes`."""

    loaded: Loaded
    processes: int = 0
    problem: str = ""
    changes: tuple[str, ...] = ()


class Process(Controlled, Protocol):
    """A process that can be told to start with another configuration after its death."""

    def start_with(self, change: Change) -> None: ...


class Reloader:
    """The parent's side. `read` reads everything again and raises `MeshproxyError`; `tell` hears of each outcome."""

    def __init__(self, loaded: Loaded, read: Callable[[], Loaded], tell: Callable[[Outcome], None]) -> None:
        self._loaded = loaded
        self._read = read
        self._tell = tell
        self._numbers = count()

    def reload(self, processes: Sequence[Process]) -> None:
        """Read the configuration and have every process go by it, or none. Never raises."""
        outcome = self._try(processes)
        if outcome.problem:
            problem = " ".join(outcome.problem.split())
            _log.error("the new configuration was refused, the server goes on with what it had: %s", problem)
        else:
            self._loaded = outcome.loaded
            _log.info("the configuration was read again: %s", "; ".join(outcome.changes) or "nothing is new in it")
        try:
            self._tell(outcome)
        except OSError as failure:
            _log.warning("`meshproxy reload` can't be told: %s", failure)

    def _try(self, processes: Sequence[Process]) -> Outcome:
        try:
            new = self._read()
        except MeshproxyError as problem:
            return Outcome(self._loaded, problem=problem.message)
        except Exception as problem:  # noqa: BLE001 (a defect must not end a server)
            _log.exception("the configuration could not be read")
            return Outcome(self._loaded, problem=f"{type(problem).__name__}; the server's log has more")
        change = Change(new.config_text, new.secrets)
        prepared = self._exchange(processes, Prepare(next(self._numbers), change))
        if prepared.problems:
            self._exchange(processes, Abort(next(self._numbers)))
            return Outcome(self._loaded, problem="; ".join(prepared.problems))
        for process in processes:
            process.start_with(change)
        done = self._exchange(processes, Commit(next(self._numbers)))
        for failure in done.problems:
            _log.error("a new configuration could not be taken over by %s", failure)
        return Outcome(new, done.agreed, changes=differences(self._loaded.config, new.config))

    def _exchange(self, processes: Sequence[Process], message: Prepare | Commit | Abort) -> Broadcast:
        exchange = Broadcast(processes, message)
        exchange.run(time.monotonic() + _LIMIT_S)
        return exchange
