"""Read large bodies and messages of clients in another process, so that no other request waits for it.

The parser of JSON holds the interpreter's lock from the first byte of a body to the last, so a thread would not do. A
worker starts the process with the first large body. It gets no environment, ends with its worker, and asks the worker
what only that knows: whose an id is.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Protocol

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import RefusedError, refuse
from meshproxy_cli.proxy.core.routes import ProviderRoute
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.http1.pieces import Piece
from meshproxy_cli.proxy.request.aliases import with_real_models
from meshproxy_cli.proxy.request.authorization import AuthorizedRequest, Authorizer, ClientEvent
from meshproxy_cli.store.records import Room

if TYPE_CHECKING:
    import asyncio

    from meshproxy_cli.proxy.ownership.owners import Owners

_PIECE = 256 * 1024
_LONGEST_S = 60.0
_LONGEST_END_S = 5.0
_NICE = 10  # requests that need no inspection come first
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from meshproxy_cli.proxy.request.inspector import serve; serve(int(sys.argv[1]))"
)
_FAILED = "Room Proxy: this request could not be inspected. Send it again in a moment."


class Job(Protocol):
    """What is to be found out about a body."""

    @property
    def largest_expanded(self) -> int:
        """Bytes that the body may expand to."""

    def run(self, authorizer: Authorizer, body: bytes) -> "Inspected":
        """Return what was found; raises `RefusedError`."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a request or an event asks for; `body` replaces the client's where it had to be changed."""

    found: AuthorizedRequest | ClientEvent
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class RequestJob:
    """See `Authorizer.authorized`."""

    caller: Caller
    route: ProviderRoute
    room: Room | None
    head: RequestHead
    largest_expanded: int

    def run(self, authorizer: Authorizer, body: bytes) -> Inspected:
        ask = authorizer.authorize(self.caller, self.route, self.room, self.head, body)
        body_of_it, ask.body = ask.body, None
        return Inspected(ask, body_of_it)


@dataclass(frozen=True, slots=True)
class EventJob:
    """See `Authorizer.event`."""

    caller: Caller
    room: Room | None
    named: str
    largest_expanded: int
    realtime: bool = False

    def run(self, authorizer: Authorizer, body: bytes) -> Inspected:
        real = body if self.room is None else with_real_models(body, self.room.aliases)
        event = authorizer.event(self.caller, self.room, real, named=self.named, realtime=self.realtime)
        return Inspected(event, None if real == body else real)


@dataclass(frozen=True, slots=True)
class _Question:
    """What the process asks the worker."""

    owns: bool  # or whether the id is known at all
    caller: Caller | None
    ident: str


@dataclass(frozen=True, slots=True)
class _Reply:
    """What the process found; `pieces` of a changed body follow."""

    found: AuthorizedRequest | ClientEvent | None = None
    pieces: int = 0
    refused: RefusedError | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job; the changed body in pieces, which are empty where it stays as it is."""

    found: AuthorizedRequest | ClientEvent
    pieces: list[bytes]


class Inspector:
    """A worker's end: one job after another, off the event loop."""

    def __init__(self, loop: "asyncio.AbstractEventLoop", owners: "Owners") -> None:
        self._loop = loop
        self._owners = owners
        self._thread = ThreadPoolExecutor(1, "inspector")
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def submit(
        self,
        job: Job,
        pieces: Sequence[Piece],
        done: Callable[[Outcome | RefusedError], None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Call `done` in the event loop with what comes of it; never where it is not `wanted` any more."""
        finished = self._thread.submit(self._run, job, pieces, wanted)
        finished.add_done_callback(lambda one: self._hand_over(one, done))

    def close(self) -> None:
        """End the process; call it in another thread than the event loop's."""
        self._thread.shutdown(cancel_futures=True)
        self._end()

    def _hand_over(
        self, finished: "Future[Outcome | RefusedError | None]", done: Callable[[Outcome | RefusedError], None]
    ) -> None:
        if finished.cancelled():
            return
        result = finished.result()
        if result is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(done, result)

    def _run(self, job: Job, pieces: Sequence[Piece], wanted: Callable[[], bool]) -> Outcome | RefusedError | None:
        if not wanted():
            return None
        try:
            return self._converse(self._connected(), job, pieces)
        except (OSError, EOFError, TimeoutError):
            self._end()
            return refuse(503, "try_again", _FAILED, retry=True)

    def _converse(self, line: Connection, job: Job, pieces: Sequence[Piece]) -> Outcome | RefusedError:
        line.send((job, len(pieces)))
        for piece in pieces:
            line.send_bytes(piece)
        while True:
            if not line.poll(_LONGEST_S):
                raise TimeoutError
            said = line.recv()
            if isinstance(said, _Reply):
                break
            line.send(self._answer(said))
        if said.refused is not None or said.found is None:
            return said.refused or refuse(503, "try_again", _FAILED, retry=True)
        return Outcome(said.found, [line.recv_bytes() for _ in range(said.pieces)])

    def _answer(self, question: _Question) -> bool:
        """Ask the owners, which belong to the event loop's thread."""
        answer: Future[bool] = Future()
        caller, ident = question.caller, question.ident

        def look() -> None:
            owned = caller is not None and question.owns and self._owners.owns(caller, ident)
            answer.set_result(owned if question.owns else self._owners.knows(ident))

        self._loop.call_soon_threadsafe(look)
        return answer.result(_LONGEST_S)

    def _connected(self) -> Connection:
        if self._line is not None and self._process is not None and self._process.poll() is None:
            return self._line
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (this interpreter, and code of ours)
                [sys.executable, "-I", "-c", _START, str(theirs.fileno()), *filter(None, sys.path)],
                pass_fds=[theirs.fileno()],
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self._line = Connection(ours.detach())
        return self._line

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
        if self._process is not None:
            try:
                self._process.wait(_LONGEST_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def serve(number: int) -> None:
    """Take jobs from the socket of that number until the worker closes it."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # the worker finishes its requests first
    with suppress(OSError):
        os.nice(_NICE)
    line = Connection(number)
    with suppress(EOFError, OSError):
        while True:
            job, pieces = line.recv()
            _work(line, job, b"".join([line.recv_bytes() for _ in range(pieces)]))


def _work(line: Connection, job: Job, body: bytes) -> None:
    def asked(question: _Question) -> bool:
        line.send(question)
        return bool(line.recv())

    authorizer = Authorizer(
        lambda caller, ident: asked(_Question(True, caller, ident)),  # noqa: FBT003 (of a question)
        job.largest_expanded,
        lambda ident: asked(_Question(False, None, ident)),  # noqa: FBT003 (the same)
    )
    try:
        inspected = job.run(authorizer, body)
    except RefusedError as problem:
        line.send(_Reply(refused=problem))
        return
    changed = inspected.body or b""
    cuts = range(0, len(changed), _PIECE)
    line.send(_Reply(inspected.found, len(cuts)))
    for start in cuts:
        line.send_bytes(memoryview(changed)[start : start + _PIECE])
