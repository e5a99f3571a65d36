"""What the proxy costs, side by side with nginx as the limit, in one run on one machine.

    python benchmarks/proxy.py [--seconds 4] [--only json,stream,large,ttfb,idle,workers] [--peers]

CPU is user and system time of all processes of a proxy, divided by the requests of that stretch: the figure to compare,
since throughput depends on who else uses the machine. Ours is measured until every event is in the database; the column
"without shipping" leaves the process out that puts it there. Needs nginx and wrk (Debian: nginx-light, wrk).
With --peers other gateways are measured too, where they are installed; the rest is named as skipped.
Exits with 1 where a bar is missed.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

from proxy_measure import Sample, idle_memory, measure, ttfb
from proxy_peers import PEER_BARS, able, peers
from proxy_servers import Running, meshproxy, nginx, provider
from rich.console import Console
from rich.table import Table

_BARS = {"json": 2.0, "stream": 1.6, "large": 4.0}
_TITLES = {
    "json": "JSON, 4 KB request, 32 connections",
    "stream": "stream of 100 chunks, 64 connections",
    "large": "JSON, 560 KB request, 16 connections",
}
_TTFB_P50_MS = 0.3
_TTFB_P99_MS = 2.0
_IDLE_MIB = 150
_IDLE_STREAMS = 5000
_TWO_WORKERS = 1.7


def main() -> int:
    """Run what was asked for and print it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=3, help="take the best of so many stretches")
    parser.add_argument("--only", default="json,stream,large,ttfb,idle,workers")
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    wanted = options.only.split(",")
    console = Console(width=110)
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as name, provider() as upstream:
        home = Path(name)
        others = peers(upstream, home, console) if options.peers else _nothing()
        with nginx(upstream, home) as limit, meshproxy(upstream, home) as ours, others as found:
            servers = [limit, ours]
            for kind in [one for one in _BARS if one in wanted]:
                rows = measure([*servers, *able(found, kind, console)], kind, options.seconds, options.rounds)
                missed += _show(console, kind, rows)
            if "ttfb" in wanted:
                missed += _show_ttfb(console, upstream, servers)
        if "idle" in wanted:
            missed += _show_idle(console, upstream, home)
        if "workers" in wanted:
            missed += _show_workers(console, upstream, home, options.seconds)
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0


class _nothing:  # noqa: N801 (a context manager in the manner of contextlib)
    def __enter__(self) -> list[Running]:
        return []

    def __exit__(self, *_: object) -> None:
        """Do nothing."""


def _show(console: Console, kind: str, rows: list[tuple[Running, Sample]]) -> list[str]:
    table = Table(title=_TITLES[kind])
    for title in ("proxy", "CPU µs/request", "x nginx", "without shipping", "requests/s", "MiB", "errors"):
        table.add_column(title, justify="left" if title == "proxy" else "right")
    base = rows[0][1].cpu_us
    for server, sample in rows:
        ratio = sample.cpu_us / base
        table.add_row(
            server.name, f"{sample.cpu_us:,.1f}", f"{ratio:.2f}", f"{sample.path_us:,.1f}", f"{sample.rate:,.0f}",
            f"{sample.mib:.0f}", str(sample.errors),
        )  # fmt: skip
    console.print(table)
    ours = next(sample for server, sample in rows if server.name == "meshproxy")
    ratio = ours.cpu_us / base
    problems = [f"{kind}: {ratio:.2f} x nginx, allowed {_BARS[kind]}"] if ratio > _BARS[kind] else []
    return problems + (_beside_peers(rows, ours) if kind == "json" else [])


def _beside_peers(rows: list[tuple[Running, Sample]], ours: Sample) -> list[str]:
    problems = []
    for server, sample in rows:
        bar = PEER_BARS.get(server.name)
        ratio = sample.cpu_us / ours.cpu_us
        if bar is not None and (sample.errors or not math.isfinite(ratio)):
            problems.append(f"{server.name}: {sample.errors} errors at {sample.rate} requests/s, not measured")
        elif bar is not None and ratio < bar:
            problems.append(f"{server.name}: {ratio:.1f} x the CPU of meshproxy, wanted {bar}")
    return problems


def _show_ttfb(console: Console, upstream: int, servers: list[Running]) -> list[str]:
    direct, limit, ours = (ttfb(one) for one in (upstream, *servers))
    added = [ours[place] - direct[place] for place in (0, 1)]
    table = Table(title="time to first byte (ms), 100 streams, 100 chunks/s each")
    for title in ("way", "p50", "p99"):
        table.add_column(title, justify="left" if title == "way" else "right")
    for name, numbers in (("direct", direct), ("nginx", limit), ("meshproxy", ours), ("added by meshproxy", added)):
        table.add_row(name, *(f"{number:.2f}" for number in numbers))
    console.print(table)
    problems = []
    if added[0] > _TTFB_P50_MS:
        problems.append(f"time to first byte: {added[0]:.2f} ms added at p50, allowed {_TTFB_P50_MS}")
    if added[1] > _TTFB_P99_MS:
        problems.append(f"time to first byte: {added[1]:.2f} ms added at p99, allowed {_TTFB_P99_MS}")
    return problems


def _show_idle(console: Console, upstream: int, home: Path) -> list[str]:
    with meshproxy(upstream, home) as ours:
        mib, whole = idle_memory(ours, _IDLE_STREAMS)
    console.print(
        f"{_IDLE_STREAMS:,} idle streams on one worker: {mib:.0f} MiB (allowed {_IDLE_MIB}); "
        f"with the parent and the shipper {whole:.0f} MiB"
    )
    return [f"idle streams: {mib:.0f} MiB, allowed {_IDLE_MIB}"] if mib > _IDLE_MIB else []


def _show_workers(console: Console, upstream: int, home: Path, seconds: float) -> list[str]:
    """Compare capacities: requests per second of CPU time and core, since provider and load need cores too."""
    with meshproxy(upstream, home) as one:
        single = measure([one], "workers", seconds, 2)[0][1]
    with meshproxy(upstream, home, workers=2) as two:
        double = measure([two], "workers", seconds, 2)[0][1]
    balance = double.balance
    gain = 2 * single.cpu_us / double.cpu_us * balance
    console.print(
        f"two workers: {double.cpu_us:.0f} µs/request beside {single.cpu_us:.0f}, the busier one takes "
        f"{100 / (2 * balance):.0f} % of the load: {gain:.2f} x the capacity of one (allowed ≥ {_TWO_WORKERS})"
    )
    return [f"two workers: {gain:.2f} x one, wanted {_TWO_WORKERS}"] if gain < _TWO_WORKERS else []


if __name__ == "__main__":
    sys.exit(main())
