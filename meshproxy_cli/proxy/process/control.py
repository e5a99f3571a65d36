"""The line between a server's parent and each of its processes: a new configuration goes to all of them, or to none.

The parent sends `Prepare`; each process reads and checks the configuration and answers. Only where all could does the
parent send `Commit`, which can't fail any more; else `Abort`.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Protocol

from meshproxy_cli.errors import MeshproxyError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A configuration that the parent has checked: the file's text, and what its references lead to."""

    config_text: str
    secrets: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Get ready to go by `change`."""

    number: int
    change: Change


@dataclass(frozen=True, slots=True)
class Commit:
    """Go by what was prepared."""

    number: int


@dataclass(frozen=True, slots=True)
class Abort:
    """Forget what was prepared."""

    number: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to message `number`; `problem` is "" where all went well."""

    number: int
    problem: str = ""


#: Checks a change and returns what takes it over, which must not fail. Raises `MeshproxyError`. Called in a thread.
PrepareChange = Callable[[Change], Callable[[], None]]


class Control:
    """A process's end: answers in a thread of its own."""

    def __init__(self, line: Connection, prepare: PrepareChange) -> None:
        self._line = line
        self._prepare = prepare
        self._prepared: Callable[[], None] | None = None

    def start(self) -> None:
        """Start the thread; it ends with the process, or when the parent is gone."""
        threading.Thread(target=self._serve, name="meshproxy-control", daemon=True).start()

    def _serve(self) -> None:
        try:
            while True:
                message = self._line.recv()
                problem = self._handle(message)
                self._line.send(Reply(message.number, problem))
        except (EOFError, OSError):
            return

    def _handle(self, message: Prepare | Commit | Abort) -> str:
        prepared, self._prepared = self._prepared, None
        try:
            if isinstance(message, Prepare):
                self._prepared = self._prepare(message.change)
            elif isinstance(message, Commit) and prepared is not None:
                prepared()
        except MeshproxyError as problem:
            return problem.message
        except Exception as problem:  # noqa: BLE001 (whatever it is: the parent has to hear of it)
            _log.exception("a new configuration could not be taken over")
            return f"{type(problem).__name__}; the server's log has more"
        return ""


class Controlled(Protocol):
    """A process as the parent sees it: its name for a person, and the line to it, None while it does not run."""

    @property
    def name(self) -> str: ...

    @property
    def line(self) -> Connection | None: ...


class Broadcast:
    """Sends one message to several processes and collects their replies, until a deadline (`time.monotonic`)."""

    def __init__(self, processes: Sequence[Controlled], message: Prepare | Commit | Abort) -> None:
        self._number = message.number
        self._waiting: dict[Connection, str] = {}
        self.agreed = 0
        self.problems: list[str] = []
        for process in processes:
            line = process.line
            if line is not None and _send(line, message):
                self._waiting[line] = process.name

    def run(self, deadline: float) -> None:
        """Wait for the replies. Who dies meanwhile is no problem: its successor begins with what holds then."""
        while self._waiting and (left := deadline - time.monotonic()) > 0:
            for line in wait(list(self._waiting), left):
                if isinstance(line, Connection):
                    self._receive(line)
        self.problems.extend(f"{name} does not answer" for name in self._waiting.values())

    def _receive(self, line: Connection) -> None:
        try:
            reply = line.recv()
        except (EOFError, OSError):
            del self._waiting[line]
            return
        if not isinstance(reply, Reply) or reply.number != self._number:
            return  # that it is ready, or a reply that came too late
        name = self._waiting.pop(line)
        if reply.problem:
            self.problems.append(f"{name}: {reply.problem}")
        else:
            self.agreed += 1


def _send(line: Connection, message: Prepare | Commit | Abort) -> bool:
    try:
        line.send(message)
    except OSError:
        return False
    return True
