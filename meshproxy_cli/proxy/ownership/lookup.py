"""Asks the database whose an answer is that this machine has not seen, beside the path of requests."""

import asyncio
import enum
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.store.parts.owners import AnswerOwners

#: How long an id is looked for: another machine hands in what it has noted a moment after its answer.
PATIENCE_S = 2.0
_AGAIN_S = 0.2
_MOST_WAITING = 1000
_AT_ONCE = 10_000
#: For an id that would have to be looked up, where it can't be.
NO_LOOKUP = ProxyError(
    status=503,
    code="answer_not_found_now",
    message="Room Proxy: whose answer this request goes on from can't be looked up now, since the proxy's database is "
    "away. Try again in a moment.",
    retry=True,
)
_log = logging.getLogger(__name__)


class Found(enum.Enum):
    """What came of a search."""

    KNOWN = enum.auto()  # `Owners` knows it now
    NOBODYS = enum.auto()
    AWAY = enum.auto()  # the store can't be asked


@dataclass(frozen=True, slots=True)
class _Question:
    keys: frozenset[str]
    until: float  # of the monotonic clock
    done: Callable[[Found], None]


class OwnerLookup:
    """Looks ids up in a thread of its own; what it finds, `owners` knows from then on."""

    def __init__(self, store: AnswerOwners, owners: Owners, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._owners = owners
        self._loop = loop
        self._questions: list[_Question] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="meshproxy-owners", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; who still waits hears that the store is away."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def ask(self, ident: str, done: Callable[[Found], None]) -> None:
        """Look an id up and call `done`, both in the event loop's thread."""
        self.ask_all((ident,), done)

    def ask_all(self, idents: Iterable[str], done: Callable[[Found], None]) -> None:
        """Look several ids up and call `done` once: `KNOWN` means all of them."""
        keys = frozenset(Owners.key(ident).decode() for ident in idents)
        question = _Question(keys, time.monotonic() + PATIENCE_S, done)
        with self._changed:
            if not self._stopping and len(self._questions) < _MOST_WAITING:
                self._questions.append(question)
                self._changed.notify()
                return
        self._loop.call_soon(done, Found.AWAY)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._questions)
                questions, self._questions = self._questions, []
                if self._stopping:
                    break
            left = self._look_up(questions)
            with self._changed:
                self._questions[:0] = left
                if left:
                    self._changed.wait_for(lambda: self._stopping, _AGAIN_S)
        self._answer([(question, Found.AWAY) for question in questions], {})

    def _look_up(self, questions: list[_Question]) -> list[_Question]:
        """Answer those that can be answered and return the others."""
        try:
            keys = sorted({key for question in questions for key in question.keys})
            owners: dict[str, str] = {}
            for start in range(0, len(keys), _AT_ONCE):
                owners.update(self._store.find(keys[start : start + _AT_ONCE]))
        except MeshproxyError as problem:
            _log.info("whose an answer is can't be looked up: %s", problem.message)
            self._answer([(question, Found.AWAY) for question in questions], {})
            return []
        now = time.monotonic()
        answers, left = [], []
        for question in questions:
            if question.keys <= owners.keys():
                answers.append((question, Found.KNOWN))
            elif now >= question.until:
                answers.append((question, Found.NOBODYS))
            else:
                left.append(question)
        self._answer(answers, owners)
        return left

    def _answer(self, answers: list[tuple[_Question, Found]], owners: dict[str, str]) -> None:
        def tell() -> None:
            for key, owner in owners.items():
                self._owners.learn(key.encode(), owner.encode())
            for question, found in answers:
                question.done(found)

        if answers and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(tell)
