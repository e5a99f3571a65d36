"""Child processes: started, started again where one dies, and ended in order.

On Linux a child is forked: it begins within milliseconds and shares the memory of what the parent has imported. The
parent has one thread and no event loop, so nothing is forked halfway. Elsewhere children start from nothing: system
libraries there do not stand a fork.
"""

import gc
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from meshproxy_cli.errors import MeshproxyError, UnavailableError
from meshproxy_cli.proxy.process.control import Change

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_QUICK_DEATH_S = 5.0
_MOST_QUICK_DEATHS = 5
_LONGEST_DELAY_S = 5.0
_POLL_S = 0.2
_KILL_AFTER_S = 5.0
_SHIP_AT_END_S = 15.0
_ENDING = (signal.SIGTERM, signal.SIGINT)
_TOLD = (*_ENDING, signal.SIGHUP)
AT_ONCE = signal.SIGUSR1  #: a worker that gets it cuts off what runs
_TERMINAL = "/dev/tty"
_log = logging.getLogger(__name__)

CONTEXT = multiprocessing.get_context("fork") if sys.platform == "linux" else multiprocessing.get_context("spawn")


class Child:
    """A process that runs `work(line, plan, *arguments)`; it sends anything through `line` once it is ready.

    `plan` is a dataclass with the fields of a `Change`.
    """

    def __init__(self, name: str, work: Callable[..., None], plan: Any = None, *arguments: object) -> None:  # noqa: ANN401 (any such dataclass)
        self.name = name
        self._work = work
        self._plan = plan
        self._arguments = arguments
        self._process: BaseProcess | None = None
        self._started: Connection | None = None
        self._ready = False
        self._since = 0.0
        self.quick_deaths = 0

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.exitcode if self._process is not None else None

    @property
    def sentinel(self) -> int:
        """What `multiprocessing.connection.wait` takes to wait for its end."""
        assert self._process is not None  # noqa: S101 (only ever asked of a child that was started)
        return self._process.sentinel

    @property
    def line(self) -> Connection | None:
        """What reaches it, None while it does not run."""
        return self._started if self.exit_code is None else None

    def start_with(self, change: Change) -> None:
        """Start it with another configuration from its next start on."""
        self._plan = replace(self._plan, config_text=change.config_text, secrets=change.secrets)

    def start(self) -> None:
        """Start it."""
        self._started, theirs = CONTEXT.Pipe()
        arguments = (self._work, theirs, self._plan, *self._arguments)
        self._process = CONTEXT.Process(target=_begin, args=arguments, name=self.name)
        with _held_back():
            self._process.start()
        theirs.close()
        self._since = time.monotonic()

    def is_ready(self) -> bool:
        """Whether it was ready once."""
        if not self._ready and self._started is not None and self._started.poll():
            try:
                self._ready = bool(self._started.recv())
            except EOFError:  # it died before
                self._started = None
        return self._ready

    def mend(self) -> None:
        """Start it again where it has died: soon, and later each time where it dies quickly."""
        if self._process is None or self._process.is_alive():
            return
        lived = time.monotonic() - self._since
        if lived < self._delay():
            return
        self.quick_deaths = self.quick_deaths + 1 if lived < _QUICK_DEATH_S else 0
        _log.error("%s ended with exit code %s and is started again", self.name, self._process.exitcode)
        self.start()

    def _delay(self) -> float:
        return 0.0 if self.quick_deaths == 0 else min(_LONGEST_DELAY_S, 0.1 * 2**self.quick_deaths)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()

    def hurry(self) -> None:
        """Have it end at once. SIGTERM can't say that: a service manager may send one to each process of a group."""
        if self._process is not None and self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, AT_ONCE)

    def join(self, deadline: float) -> None:
        """Wait for its end until then (`time.monotonic`), and end it by force after that."""
        if self._process is None:
            return
        self._process.join(max(0.0, deadline - time.monotonic()))
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


class Supervisor:
    """Watches over workers, and over the shipper that moves their usage to the store."""

    def __init__(
        self,
        workers: Sequence[Child],
        shipper: Child,
        let_go: Callable[[], None],
        reload: Callable[[Sequence[Child]], None] = lambda _: None,
    ) -> None:
        """Take the children; `let_go` tells the shipper that the workers have ended, `reload` is called on SIGHUP."""
        self._workers = workers
        self._shipper = shipper
        self._let_go = let_go
        self._reload = reload
        self._stopping = False
        self._hung_up = False
        # After `nohup` no SIGHUP says that a terminal is gone.
        self._had_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()

    def run(self, ready: Callable[[], None], *, drain_s: float) -> None:
        """Run until SIGTERM or SIGINT. Raises `UnavailableError` where workers can't start."""
        for number in _ENDING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        gc.collect()
        gc.freeze()  # what is there now stays as it is, in memory that the children share
        children = (*self._workers, self._shipper)
        try:
            for child in children:
                child.start()
            self._watch(children, ready)
        finally:
            self._end(drain_s)

    def _watch(self, children: Sequence[Child], ready: Callable[[], None]) -> None:
        told = False
        while not self._stopping:
            for child in children:
                child.mend()
            if not told:
                self._give_up_on_quick_deaths()
                if all(child.is_ready() for child in self._workers):
                    told = True
                    ready()
            if told and self._hung_up:
                self._hung_up = False
                self._reload(children)
            wait([child.sentinel for child in children if child.exit_code is None], _POLL_S if told else _POLL_S / 10)

    def _give_up_on_quick_deaths(self) -> None:
        for worker in self._workers:
            if worker.quick_deaths >= _MOST_QUICK_DEATHS:
                raise UnavailableError(f"{worker.name} ends as soon as it starts; what it says is above")

    def _stop(self, _number: int, _frame: object) -> None:
        if self._stopping:  # a second time
            for worker in self._workers:
                worker.hurry()
        self._stopping = True

    def _hang_up(self, number: int, frame: object) -> None:
        """Read the configuration again, soon; but end where this is what it means that a window was closed."""
        if self._had_terminal and not _has_terminal():
            self._stop(number, frame)
        else:
            self._hung_up = True

    def _terminate(self) -> None:
        for worker in self._workers:
            worker.terminate()

    def _end(self, drain_s: float) -> None:
        self._terminate()
        deadline = time.monotonic() + drain_s + _KILL_AFTER_S
        for worker in self._workers:
            worker.join(deadline)
        self._let_go()
        self._shipper.join(time.monotonic() + _SHIP_AT_END_S)


def orphaned() -> bool:
    """Whether this is a child whose parent is gone."""
    parent = multiprocessing.parent_process()
    return parent is not None and os.getppid() != parent.pid


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold signals back until the child has its own handlers: the parent's would swallow them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)


def _begin(work: Callable[..., None], line: Connection, *arguments: object) -> None:
    # Ctrl-C, and a window that is closed, reach the whole group: the parent passes it on, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD)
    try:
        work(line, *arguments)
    except MeshproxyError as problem:
        _log.error("this process can't go on: %s", problem.message)
        sys.exit(problem.exit_code)
    except Exception:  # noqa: BLE001 (multiprocessing would print it past the log's form and redactor)
        _log.critical("an error that nobody caught", exc_info=True)
        sys.exit(1)


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
