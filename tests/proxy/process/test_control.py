"""All processes or none: the parent's exchange with each process's control thread, over real pipes."""

import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import pytest

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.process.control import Abort, Broadcast, Change, Commit, Control, Prepare

CHANGE = Change("text", {"env:A": "a secret"})
LIMIT_S = 20.0


@dataclass
class Process:
    """A process's control thread in this process, and the parent's end of its line."""

    name: str
    line: Connection | None
    goes_by: list[str] = field(default_factory=list)


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    lines: list[Connection] = []

    def begin(name: str, problem: Exception | None = None, *, answers: bool = True) -> Process:
        ours, theirs = multiprocessing.Pipe()
        lines.extend((ours, theirs))
        process = Process(name, ours)

        def prepare(change: Change) -> Callable[[], None]:
            if problem is not None:
                raise problem
            return lambda: process.goes_by.append(change.config_text)

        theirs.send(True)  # noqa: FBT003 (as a process says that it is ready)
        if answers:
            Control(theirs, prepare).start()
        return process

    yield begin
    for line in lines:
        line.close()


def exchange(processes: list[Process], message: Prepare | Commit | Abort, limit_s: float = LIMIT_S) -> Broadcast:
    made = Broadcast(processes, message)
    made.run(time.monotonic() + limit_s)
    return made


def test_what_was_prepared_is_taken_over_with_the_commit(start: Callable[..., Process]) -> None:
    processes = [start("one"), start("two")]
    assert exchange(processes, Prepare(0, CHANGE)).agreed == 2
    assert [process.goes_by for process in processes] == [[], []]
    assert exchange(processes, Commit(1)).agreed == 2
    assert [process.goes_by for process in processes] == [["text"], ["text"]]


@pytest.mark.parametrize(
    ("problem", "said"),
    [(UsageError("it is wrong"), "two: it is wrong"), (RuntimeError("x"), "two: RuntimeError; the server's log")],
)
def test_one_that_refuses_is_heard_and_after_abort_nothing_is_taken_over(
    start: Callable[..., Process], problem: Exception, said: str
) -> None:
    processes = [start("one"), start("two", problem)]
    found = exchange(processes, Prepare(0, CHANGE))
    assert found.agreed == 1
    assert len(found.problems) == 1
    assert found.problems[0].startswith(said)
    exchange(processes, Abort(1))
    exchange(processes, Commit(2))
    assert [process.goes_by for process in processes] == [[], []]


def test_one_that_does_not_answer_is_named(start: Callable[..., Process]) -> None:
    found = exchange([start("one"), start("two", answers=False)], Prepare(0, CHANGE), 0.2)
    assert (found.agreed, found.problems) == (1, ["two does not answer"])


def test_one_that_is_not_there_or_dies_is_no_problem(start: Callable[..., Process]) -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    found = exchange([start("one"), Process("two", None), Process("three", ours)], Prepare(0, CHANGE))
    assert (found.agreed, found.problems) == (1, [])
    ours.close()


def test_a_reply_that_comes_too_late_is_not_taken_for_the_next_one(start: Callable[..., Process]) -> None:
    process = start("one")
    assert process.line is not None
    exchange([process], Prepare(0, CHANGE), 0.0)  # gives up before the reply is there
    assert process.line.poll(LIMIT_S)
    found = exchange([process], Commit(1))
    assert (found.agreed, process.goes_by) == (1, ["text"])


def test_secrets_are_in_no_representation() -> None:
    assert "a secret" not in repr(Prepare(0, CHANGE))
