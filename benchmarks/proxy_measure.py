"""How the benchmark measures: wrk for load, /proc for CPU and memory, and own clients for streams."""

import asyncio
import json
import math
import os
import re
import resource
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import uvloop
from proxy_servers import Running

_TICK = os.sysconf("SC_CLK_TCK")
_LOADS = {
    "json": (32, 4_000, False),
    "stream": (64, 4_000, True),
    "large": (16, 560_000, False),
    "workers": (256, 4_000, False),  # the kernel spreads connections by chance, so evenly only where there are many
}
_STREAMS_AT_ONCE = 100
_STREAM_ROUNDS = 8
_LONGEST_SHIPPING_S = 30


@dataclass(frozen=True)
class Sample:
    """One stretch of load: CPU in µs a request, all processes of the server, until the last event is in the database.

    `path_us` is the part without the process that moves usage to the database, which runs at a lower priority.
    `balance` is 1 where all workers did the same, less otherwise.
    """

    cpu_us: float
    path_us: float
    rate: float
    mib: float
    errors: int
    balance: float = 1.0


def measure(servers: list[Running], kind: str, seconds: float, rounds: int) -> list[tuple[Running, Sample]]:
    """Load the servers in turns; return the best stretch of each."""
    samples: dict[str, list[Sample]] = {server.name: [] for server in servers}
    for server in servers:
        _load(server, kind, min(1.0, seconds))  # warm up
    for _ in range(rounds):
        for server in servers:
            samples[server.name].append(_load(server, kind, seconds))
    return [(server, min(samples[server.name], key=lambda sample: sample.cpu_us)) for server in servers]


def _load(server: Running, kind: str, seconds: float) -> Sample:
    connections, size, stream = _LOADS[kind]
    connections = min(connections, server.connections or connections)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_script(server.headers, body(size, stream=stream)))
        script.flush()
        before = _cpu(server.pid)
        url = f"http://127.0.0.1:{server.port}{server.path}"
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "10s",
            "-s",
            script.name,
            url,
        ]
        out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        _wait_until_shipped(server)
        after = _cpu(server.pid)
    requests = int(re.search(r"(\d+) requests in", out)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+)", out)
    errors = (int(failed[1]) if failed else 0) + (sum(map(int, broken.groups())) if broken else 0)
    spent = {pid: after[pid] - before.get(pid, 0.0) for pid in after}
    path = {pid: seconds for pid, seconds in spent.items() if _niceness(pid) == _niceness(server.pid)}
    busiest = sorted(path.values(), reverse=True)[:2]
    balance = sum(busiest) / (2 * busiest[0]) if len(path) > 2 and busiest[0] else 1.0
    per_request = 1e6 / requests if requests else math.inf
    return Sample(
        sum(spent.values()) * per_request, sum(path.values()) * per_request, rate, _memory(server.pid), errors, balance
    )


def _wait_until_shipped(server: Running) -> None:
    """Wait for what the server still does about the requests that it has answered."""
    deadline = time.monotonic() + _LONGEST_SHIPPING_S
    while server.spool is not None and any(server.spool.glob("*.spool")) and time.monotonic() < deadline:
        time.sleep(0.1)


def _niceness(pid: int) -> int:
    return int(_stat(pid)[16])


def _stat(pid: int) -> list[str]:
    """Return the fields of proc_pid_stat(5) from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def body(size: int, *, stream: bool, note: str = "") -> bytes:
    """Return a request for Responses of about `size` bytes."""
    message = {"role": "user", "content": [{"type": "input_text", "text": 'def f(x):\n    return "x" * x\n' * 30}]}
    document = {"model": "gpt-5.4", "stream": stream, "instructions": note or "be brief", "input": []}
    one = len(json.dumps(message))
    document["input"] = [message] * max(1, (size - 100) // one)
    return json.dumps(document).encode()


def _script(headers: dict[str, str], content: bytes) -> str:
    lines = ['wrk.method = "POST"', f"wrk.body = {_lua(content.decode())}"]
    fields = {"Content-Type": "application/json", "Accept": "*/*", "User-Agent": "codex_exec/0.169.0", **headers}
    lines += [f'wrk.headers["{name}"] = {_lua(value)}' for name, value in fields.items()]
    return "\n".join(lines)


def _lua(text: str) -> str:
    return f"[====[{text}]====]"


def _tree(pid: int) -> list[int]:
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            todo += [int(child) for child in task.read_text().split()]
    return found


def _cpu(pid: int) -> dict[int, float]:
    seconds = {}
    for one in _tree(pid):
        fields = _stat(one)
        seconds[one] = (int(fields[11]) + int(fields[12])) / _TICK
    return seconds


def _memory(pid: int) -> float:
    """Return the MiB of a server's processes; what they share counts once (PSS)."""
    return sum(map(_memory_of, _tree(pid)))


def _memory_of(pid: int) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)[1]) / 1024


_HEADERS = {}


def _request(headers: dict[str, str], content: bytes) -> bytes:
    fields = {"Host": "bench", "Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /rooms/bench/openai/v1/responses HTTP/1.1\r\n{lines}\r\n".encode() + content


async def _first_bytes(port: int, request: bytes, rounds: int) -> list[float]:
    times = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(rounds):
        begun = time.perf_counter()
        writer.write(request)
        data = await reader.read(65536)
        times.append((time.perf_counter() - begun) * 1000)
        while not data.endswith(b"0\r\n\r\n"):
            more = await reader.read(65536)
            if not more:
                raise RuntimeError(f"a stream broke off after {data!r}")
            data = data[-8:] + more
        await asyncio.sleep(0.01)
    writer.close()
    return times


def ttfb(server: Running | int) -> tuple[float, float]:
    """Return p50 and p99 of the time to first byte in ms, while 100 streams flow as fast as a quick model talks."""
    port, headers = (server, {}) if isinstance(server, int) else (server.port, server.headers)
    request = _request(headers, body(4_000, stream=True, note="as a model"))

    async def run() -> list[float]:
        async def later(place: int) -> list[float]:
            await asyncio.sleep(place * 0.0113)
            return await _first_bytes(port, request, _STREAM_ROUNDS)

        return list(chain.from_iterable(await asyncio.gather(*map(later, range(_STREAMS_AT_ONCE)))))

    times = uvloop.run(run())
    return statistics.median(times), statistics.quantiles(times, n=100)[98]


def idle_memory(server: Running, streams: int) -> tuple[float, float]:
    """Return the MiB of the worker, and of all processes, with so many streams open on which nothing moves."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, streams * 2 + 1000)), hard))
    request = _request(server.headers, body(4_000, stream=True, note="idle"))

    async def run() -> tuple[float, float]:
        writers = []
        for start in range(0, streams, 100):
            batch = await asyncio.gather(
                *(_open(server.port, request) for _ in range(start, min(streams, start + 100)))
            )
            writers += batch
        await asyncio.sleep(2)
        mib = max(map(_memory_of, _tree(server.pid))), _memory(server.pid)
        for writer in writers:
            writer.transport.abort()
        return mib

    return uvloop.run(run())


async def _open(port: int, request: bytes) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    data = await reader.read(4096)
    if not data.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(data.decode())
    return writer
