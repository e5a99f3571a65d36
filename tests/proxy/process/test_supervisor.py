"""The processes of a real server: which there are, and what becomes of the others when one is killed."""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.provider import Behavior, RecordingProvider
from meshproxy_cli.errors import UnavailableError
from meshproxy_cli.proxy.config.server import LogSettings
from meshproxy_cli.proxy.process.logs import set_up
from meshproxy_cli.proxy.process.supervisor import Child, Supervisor
from meshproxy_cli.redact import Redactor

PATIENCE_S = 30.0
PATH = "/rooms/my-room/openai/v1/responses"
BODY = json.dumps({"model": "gpt-5.4", "input": "hello"}).encode()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text(encoding="utf-8").split()
    ]


def niceness(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[16])


def parts(pid: int) -> tuple[list[int], list[int]]:
    """Return a server's workers and its shipper, which is the one that steps back for the others."""
    found = children(pid)
    back = niceness(pid)
    return [one for one in found if niceness(one) == back], [one for one in found if niceness(one) > back]


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException, IndexError):
            if found := condition():
                return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s: {what}")


def ask(proxy: Any, session: str) -> int:
    headers = {"Authorization": f"Bearer {proxy.token('my-room')}", "Meshagent-Session": session}
    return int(proxy.request("POST", PATH, headers, BODY).status)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_is_killed_is_started_again_and_no_usage_is_missing(
    start_proxy: Callable[..., Any], workers: int
) -> None:
    with start_proxy("--workers", str(workers)) as proxy:
        first, (shipper,) = parts(proxy.process.pid)
        assert len(first) == workers
        assert ask(proxy, "killed") == 200
        os.kill(shipper, signal.SIGKILL)
        assert ask(proxy, "killed") == 200
        (second,) = until(lambda: [pid for pid in parts(proxy.process.pid)[1] if pid != shipper], "another shipper")
        assert second != shipper
        assert proxy.usage("--session", "killed", requests=2)["totals"]["requests"] == 2
        for worker in first:
            os.kill(worker, signal.SIGKILL)
        until(lambda: ask(proxy, "killed") == 200, "another worker")
        until(lambda: len(parts(proxy.process.pid)[0]) == workers, "all workers")
        assert proxy.usage("--session", "killed", requests=3)["totals"]["requests"] == 3


def test_without_the_parent_all_end_and_ship_what_they_have(
    start_proxy: Callable[..., Any], provider: RecordingProvider
) -> None:
    killed = pytest.raises(AssertionError, match="serve ended with -9")
    with killed, start_proxy("--drain", "20") as proxy:
        provider.release.clear()
        provider.next(Behavior(stalls_after=2))
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {proxy.token('my-room')}", "Meshagent-Session": "orphaned"}
        connection.request("POST", PATH, json.dumps({"model": "gpt-5.4", "input": "x", "stream": True}), headers)
        answer = connection.getresponse()
        assert answer.readline().startswith(b"event: ")
        family = children(proxy.process.pid)
        proxy.process.kill()
        proxy.process.wait()
        until(lambda: refuses(proxy), "the end of listening")
        provider.release.set()
        assert b"response.completed" in answer.read()  # what ran is finished all the same
        connection.close()
        until(lambda: all(map(gone, family)), "the end of its children")
        assert proxy.usage("--session", "orphaned", requests=1)["totals"]["requests"] == 1
        spool = proxy.home.state / "data" / "spool"
        assert spool.is_dir()
        assert list(spool.glob("*.spool")) == []


def refuses(proxy: Any) -> bool:
    try:
        proxy.request("GET", "/healthz")
    except ConnectionRefusedError:
        return True
    return False


def test_signals_that_reach_every_process_leave_no_usage_behind(
    start_proxy: Callable[..., Any], provider: RecordingProvider
) -> None:
    with start_proxy("--drain", "20") as proxy:
        provider.release.clear()
        provider.next(Behavior(stalls_after=2))
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {proxy.token('my-room')}", "Meshagent-Session": "group"}
        connection.request("POST", PATH, json.dumps({"model": "gpt-5.4", "input": "x", "stream": True}), headers)
        answer = connection.getresponse()
        assert answer.readline().startswith(b"event: ")
        os.killpg(proxy.process.pid, signal.SIGTERM)  # as a service manager does, or a container's end
        until(lambda: refuses(proxy), "the end of listening")
        time.sleep(0.5)  # the parent passes its own on, too
        provider.release.set()
        assert b"response.completed" in answer.read()
        connection.close()
        assert proxy.process.wait(PATIENCE_S) == 0
        assert proxy.usage("--session", "group", requests=1)["totals"]["requests"] == 1


def test_the_second_signal_ends_at_once(start_proxy: Callable[..., Any], provider: RecordingProvider) -> None:
    with start_proxy("--drain", "600") as proxy:
        provider.release.clear()
        provider.next(Behavior(stalls_after=2))
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE_S)
        headers = {"Authorization": f"Bearer {proxy.token('my-room')}", "Meshagent-Session": "twice"}
        connection.request("POST", PATH, json.dumps({"model": "gpt-5.4", "input": "x", "stream": True}), headers)
        answer = connection.getresponse()
        assert answer.readline().startswith(b"event: ")
        proxy.process.send_signal(signal.SIGINT)
        until(lambda: refuses(proxy), "the end of listening")
        assert proxy.process.poll() is None
        proxy.process.send_signal(signal.SIGINT)
        assert proxy.process.wait(PATIENCE_S) == 0
        provider.release.set()
        connection.close()
        assert proxy.usage("--session", "twice", requests=1)["totals"]["requests"] == 1


def test_metrics_show_the_shipper_too(start_proxy: Callable[..., Any], tmp_path: Path) -> None:
    with start_proxy() as proxy:
        assert ask(proxy, "metrics") == 200
        token = proxy.cli("access", "create", "tests", "--role", "viewer").stdout.strip()

        def shown() -> bool:
            text = proxy.request("GET", "/metrics", {"Authorization": f"Bearer {token}"}).body.decode()
            return (
                'meshproxy_shipped_events_total{worker="shipper"} 1' in text
                and 'meshproxy_answers_total{provider="openai",outcome="ok",worker="shipper"} 1' in text
                and 'meshproxy_usage_events_total{worker="0"} 1' in text
            )

        until(shown, "the shipper's numbers")


def test_usage_that_is_not_stored_for_long_is_no_good_health(start_proxy: Callable[..., Any]) -> None:
    with start_proxy() as proxy:
        assert proxy.request("GET", "/readyz").json()["status"] == "ok"
        spool = proxy.home.state / "data" / "spool"
        made = proxy.home.root / "stuck"
        stuck = os.open(made, os.O_CREAT | os.O_WRONLY)
        fcntl.flock(stuck, fcntl.LOCK_EX)  # as long as this is held nobody ships it
        os.utime(stuck, (time.time() - 100,) * 2)
        made.rename(spool / f"{1:020d}-w9-9.spool")
        reasons = until(lambda: proxy.request("GET", "/readyz").json()["reasons"], "a reason")
        assert reasons[0].startswith("usage has waited for 1")
        os.close(stuck)
        until(lambda: proxy.request("GET", "/readyz").json()["status"] == "ok", "good health again")


@pytest.fixture
def own_handlers() -> Iterator[None]:
    """Keep the signal handlers of the tests' process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _dies(*_: object) -> None:
    os._exit(3)


def _has_no_database(*_: object) -> None:
    set_up(LogSettings(json=True), "worker 0", Redactor())
    raise UnavailableError("the database is away")


def _has_a_defect(*_: object) -> None:
    set_up(LogSettings(json=True), "worker 0", Redactor())
    raise RuntimeError("postgresql://ann:hunter2@db/x")


@pytest.mark.parametrize(
    ("work", "level", "said"),
    [
        (_has_no_database, "error", "this process can't go on: the database is away"),
        (_has_a_defect, "critical", "an error that nobody caught"),
    ],
)
def test_what_ends_a_process_is_a_line_of_its_log(
    capfd: pytest.CaptureFixture[str], work: Callable[..., None], level: str, said: str
) -> None:
    child = Child("worker 0", work)
    child.start()
    child.join(time.monotonic() + PATIENCE_S)
    assert child.exit_code not in {0, -signal.SIGKILL}
    (line,) = map(json.loads, capfd.readouterr().err.splitlines())
    assert (line["level"], line["message"]) == (level, said)
    assert "hunter2" not in str(line)
    assert ("traceback" in line) is (level == "critical")


@pytest.mark.usefixtures("own_handlers")
def test_workers_that_cannot_start_are_given_up() -> None:
    with pytest.raises(UnavailableError, match="worker 0 ends as soon as it starts"):
        Supervisor([Child("worker 0", _dies)], Child("the shipper", _dies), lambda: None).run(
            lambda: pytest.fail("nothing was ready"), drain_s=0
        )
