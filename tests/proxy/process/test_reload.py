"""The parent's side of a reload: read, ask every process, and only then go by it."""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import pytest

from meshproxy_cli.errors import MeshproxyError, UsageError
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.process.control import Change, Control
from meshproxy_cli.proxy.process.reload import Loaded, Outcome, Reloader

STRICT = "[rooms]\nstrict = true\n"


@dataclass
class Process:
    """A process's control thread in this process."""

    name: str
    line: Connection | None
    refuses: str = ""
    goes_by: list[str] = field(default_factory=list)
    starts_with: list[str] = field(default_factory=list)

    def start_with(self, change: Change) -> None:
        self.starts_with.append(change.config_text)

    def prepare(self, change: Change) -> Callable[[], None]:
        if self.refuses:
            raise UsageError(self.refuses)
        return lambda: self.goes_by.append(change.config_text)


@dataclass
class Server:
    """A reloader, what it would read next, and what it has told."""

    text: str = ""
    error: Exception | None = None
    told: list[Outcome] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reloader = Reloader(self.read(), self.read, self.told.append)

    def read(self) -> Loaded:
        if self.error is not None:
            raise self.error
        return Loaded(self.text, {}, load_config(self.text, {}, str))

    def reload(self) -> Outcome:
        self.reloader.reload(self.processes)
        return self.told[-1]


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    lines = []
    for name in ("worker 0", "worker 1"):
        ours, theirs = multiprocessing.Pipe()
        lines += [ours, theirs]
        process = Process(name, ours)
        made.processes.append(process)
        Control(theirs, process.prepare).start()
    yield made
    for line in lines:
        line.close()


def test_every_process_goes_by_it_and_begins_with_it(server: Server) -> None:
    server.text = STRICT
    outcome = server.reload()
    assert (outcome.problem, outcome.processes, outcome.changes) == ("", 2, ("rooms.strict: false → true",))
    assert [process.goes_by for process in server.processes] == [[STRICT], [STRICT]]
    assert [process.starts_with for process in server.processes] == [[STRICT], [STRICT]]
    again = server.reload()
    assert (again.problem, again.changes) == ("", ())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MeshproxyError("two things\n  this\n  that"), "two things\n  this\n  that"),
        (RuntimeError("odd"), "RuntimeError; the server's log has more"),
    ],
)
def test_what_cannot_be_read_reaches_no_process(server: Server, error: Exception, said: str) -> None:
    server.text, server.error = STRICT, error
    outcome = server.reload()
    assert (outcome.problem, outcome.processes) == (said, 0)
    assert [process.goes_by + process.starts_with for process in server.processes] == [[], []]
    server.error = None
    assert server.reload().changes == ("rooms.strict: false → true",)


def test_what_one_process_refuses_no_other_takes_over(server: Server) -> None:
    server.text = STRICT
    server.processes[1].refuses = "not here"
    assert server.reload().problem == "worker 1: not here"
    assert [process.goes_by + process.starts_with for process in server.processes] == [[], []]
    server.processes[1].refuses = ""
    assert server.reload().processes == 2


def test_a_file_that_cannot_be_told_to_stops_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Outcome) -> None:
        raise OSError("disk full")

    reloader = Reloader(server.read(), server.read, fails)
    reloader.reload(server.processes)
    assert "disk full" in caplog.text


def test_the_digest_tells_texts_apart() -> None:
    one, two = (Loaded(text, {}, load_config(text, {}, str)).digest for text in ("", STRICT))
    assert one != two
    assert len(one) == 12
