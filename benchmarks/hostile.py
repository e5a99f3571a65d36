"""How long others wait while somebody sends what is hard to read, and whether the work grows faster than the input.

    python benchmarks/hostile.py [--only WORD,WORD] [--check] [--bar-ms 50]

Each input is sent to a running server, at a size and at twice the size, while a well-behaved client asks `/healthz` and
reads a stream. Printed are the longest time that this client waited for an answer, or for the stream's next event
beyond its 10 ms, and the CPU time of the server's processes. With --check it exits with 1 where a bar is missed: on a
machine that does other work, the longest wait tells about that work too, so an input over the bar is tried again.
"""

import argparse
import contextlib
import http.client
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import yaml
from hostile_inputs import INPUTS, Hostile, Target
from proxy_servers import free_port, running
from rich.console import Console
from rich.table import Table

_HERE = Path(__file__).parent
_GAP_S = 0.01
_PAUSE_S = 0.15
_TRIES = 3
_SOME_WORK_S = 0.05  # below it, what the server does besides is most of the work
_GROWTH = 2.3  # twice, and what one run differs from another
_NARROW = {"version": "v1", "kind": "ParticipantToken", "identity": "narrow", "room": "bench"}


def main() -> int:
    """Run what was asked for and print it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="inputs whose names have one of these words")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument("--bar-ms", type=float, default=50.0)
    options = parser.parse_args()
    chosen = [one for one in INPUTS if any(word in one.name for word in options.only.split(","))]
    console = Console(width=140)
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="meshproxy-hostile-") as name, served(Path(name)) as (target, pid):
        table = Table(title=f"{len(chosen)} hostile inputs")
        for title in ("input", "size", "answer", "longest wait, ms", "twice: ms", "work, ms", "twice: ms", "growth"):
            table.add_column(title, justify="left" if title in {"input", "answer"} else "right")
        with victim(target) as line:
            for hostile in [Hostile("nothing", 0, lambda _t, _n: time.sleep(1) or b""), *chosen]:
                server = Server(target, pid, line)
                problems = _row(table, hostile, server, options.bar_ms)
                missed += problems
                print(f"{hostile.name}: {'; '.join(problems) or 'ok'}", file=sys.stderr)
    console.print(table)
    for problem in missed:
        console.print(f"missed: {problem}", style="red")
    return 1 if missed and options.check else 0


@dataclass(frozen=True)
class Server:
    """The server, its process, and the victim that can be asked how long it waited."""

    target: Target
    pid: int
    victim: Connection


def _row(table: Table, hostile: Hostile, server: Server, bar_ms: float) -> list[str]:
    problems: list[str] = []
    for _ in range(_TRIES):
        sent = [_sent(hostile, server, size) for size in (hostile.size, 2 * hostile.size)]
        answers, waits, works = zip(*sent, strict=True)
        growth = works[1] / works[0] if works[0] > 0 else 0.0
        problems = [f"{hostile.name}: waited for {wait * 1000:.0f} ms" for wait in waits if wait * 1000 > bar_ms]
        if growth > _GROWTH and works[1] > _SOME_WORK_S:
            problems.append(f"{hostile.name}: {growth:.1f} times the work for twice the size")
        if not problems:
            break
    status = answers[0][9:12].decode(errors="replace") or "closed"
    table.add_row(
        hostile.name, f"{hostile.size:,}", status, *(f"{wait * 1000:.1f}" for wait in waits),
        *(f"{work * 1000:.1f}" for work in works), f"{growth:.1f}",
    )  # fmt: skip
    return problems


def _sent(hostile: Hostile, server: Server, size: int) -> tuple[bytes, float, float]:
    """Send it once; return the answer, the victim's longest wait and the server's CPU time without the victim's."""
    line, pid = server.victim, server.pid
    line.send("begin")
    line.recv()
    before, begun = _cpu(pid), time.monotonic()
    time.sleep(_PAUSE_S)
    usual = (_cpu(pid) - before) / (time.monotonic() - begun)
    before, begun = _cpu(pid), time.monotonic()
    answer = b""
    with contextlib.suppress(OSError):
        answer = hostile.send(server.target, size)
    time.sleep(_PAUSE_S)
    work = _cpu(pid) - before - usual * (time.monotonic() - begun)
    line.send("end")
    return answer, float(line.recv()), max(0.0, work)


def _cpu(pid: int) -> float:
    """Return the CPU seconds of a process and all below it."""
    total = 0.0
    for one in _tree(pid):
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
    return total


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


@contextlib.contextmanager
def served(home: Path) -> Iterator[tuple[Target, int]]:
    """Run a server with one worker, a provider, and one of the victim's own; yields where it is, and its process id."""
    upstream, quiet, port = free_port(), free_port(), free_port()
    program = str(Path(sys.executable).with_name("meshproxy"))
    environ = {
        **os.environ,
        "MESHPROXY_HOME": str(home / "meshproxy"),
        "MESHPROXY_KEYRING": "file",
        "OPENAI_API_KEY": "sk-benchmark",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
        "ANTHROPIC_API_KEY": "sk-benchmark",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{quiet}",
    }

    def call(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], check=True, env=environ, capture_output=True, text=True)
        return done.stdout.strip()

    provider = [sys.executable, str(_HERE / "hostile_provider.py")]
    command = [program, "serve", "--port", str(port), "--workers", "1", "--drain", "0"]
    with (
        running([*provider, str(upstream)], upstream),
        running([*provider, str(quiet)], quiet),
        running(command, port, environ, home / "meshproxy.log") as pid,
    ):
        call("api-key", "create", "bench", "--activate")
        spec = home / "narrow.yaml"
        spec.write_text(yaml.safe_dump({**_NARROW, "api": {"llm": {"models": ["openai/gpt-5.4"]}}}))
        target = Target(port, call("token", "get", "--room", "bench"), call("token", "generate", "--spec", str(spec)))
        time.sleep(1)
        yield target, pid


@contextlib.contextmanager
def victim(target: Target) -> Iterator[Connection]:
    """Run the well-behaved client in a process of its own; it measures between "begin" and "end"."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_behave, args=(target, theirs))
    process.start()
    try:
        yield ours
    finally:
        process.terminate()
        process.join()


def _behave(target: Target, line: Connection) -> None:
    ours, theirs = multiprocessing.Pipe()
    multiprocessing.Process(target=_read_stream, args=(target, theirs), daemon=True).start()
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    longest = 0.0
    while True:
        begun = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        longest = max(longest, time.perf_counter() - begun)
        time.sleep(0.003)
        if line.poll():
            said = line.recv()
            ours.send(said)
            gap = ours.recv()
            line.send(max(longest, gap))
            longest = 0.0


def _read_stream(target: Target, line: Connection) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
    lines = dict(item.decode().split(": ", 1) for item in target.credentials())
    body = json.dumps({"model": "victim", "stream": True})
    connection.request("POST", "/rooms/bench/anthropic/v1/messages", body, lines)
    answer = connection.getresponse()
    longest, last = 0.0, time.perf_counter()
    with contextlib.suppress(http.client.IncompleteRead):  # the server ends
        while answer.read1(65536):
            now = time.perf_counter()
            longest, last = max(longest, now - last - _GAP_S), now
            if line.poll():
                line.recv()
                line.send(longest)
                longest = 0.0


if __name__ == "__main__":
    sys.exit(main())
