"""How long `meshproxy doctor` takes without its live requests, cold, with agents configured, and what it does at once.

    python benchmarks/doctor.py [--rounds 7] [--delay 0.2]

The bar: under 3 seconds, also where the server is a team's that answers every request only after `--delay` seconds.
"at once" is the time that all checks took together, as a ratio of the time from the first to the last: above 1 they ran
side by side. Agents are found on the PATH, or in `.tools` where `scripts/agents` put them; without any there is less
to check. Exits with 1 where the bar is missed.
"""

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[1]
MESHPROXY = shutil.which("meshproxy", path=str(Path(sys.executable).parent)) or "meshproxy"
AGENTS = ROOT / ".tools" / "node_modules" / ".bin"
MAX_SECONDS = 3.0
START_S = 30


@dataclass(frozen=True)
class Run:
    """One run: seconds of wall clock, and each check's own milliseconds."""

    seconds: float
    checks: Mapping[str, int]

    @property
    def at_once(self) -> float:
        """All checks' time together, as a ratio of the whole run's."""
        return sum(self.checks.values()) / 1000 / self.seconds


def meshproxy(environ: Mapping[str, str], *words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [MESHPROXY, *words], env=environ, input=stdin, capture_output=True, text=True, check=True, cwd=environ["HOME"]
    )
    return done.stdout


def examine(environ: Mapping[str, str], *options: str) -> Run:
    """Run doctor once, in a process of its own."""
    began = time.perf_counter()
    words = [MESHPROXY, "doctor", "--no-live", "--json", "--limit", "10", *options]
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False, cwd=environ["HOME"])
    seconds = time.perf_counter() - began
    found = json.loads(done.stdout)
    if not found["ok"]:
        raise SystemExit(f"doctor found something broken: {found['first']}\n{done.stderr}")
    return Run(seconds, {one["id"]: one["duration_ms"] for one in found["checks"]})


@contextmanager
def server(environ: Mapping[str, str]) -> Iterator[str]:
    """Run `meshproxy serve` and yield its URL."""
    runtime = Path(environ["MESHPROXY_HOME"]) / "state" / "serve.json"
    process = subprocess.Popen([MESHPROXY, "serve", "--port", "0"], env=environ, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not runtime.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        yield json.loads(runtime.read_text())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_S)


@contextmanager
def far_away(url: str, delay: float) -> Iterator[str]:
    """Stand before the server and let every answer wait; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(delay)
            connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=START_S)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = _pass_on  # noqa: N815 (the library's names)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    front = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=front.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://localhost:{front.server_address[1]}"
    finally:
        front.shutdown()
        front.server_close()


def configure(environ: Mapping[str, str], where: str) -> list[str]:
    """Configure every agent that is here, and return their names."""
    agents = [name for name in ("codex", "claude", "opencode", "pi") if shutil.which(name, path=environ["PATH"])]
    for name in agents:
        meshproxy(environ, "configure", name, "--room", "room", "--server", where, "--model", "gpt-5.4", "--yes")
    return agents


def main() -> int:
    """Measure both cases in turns, print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds that the far server waits with each answer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path.home()) as near, tempfile.TemporaryDirectory(dir=Path.home()) as far:
        mine, theirs = (environment(Path(home)) for home in (near, far))
        with server(mine) as url, far_away(url, options.delay) as front:
            key = meshproxy(mine, "api-key", "create", "benchmark", "--activate")
            access = json.loads(meshproxy(mine, "access", "create", "benchmark", "--role", "admin", "--json"))
            meshproxy(theirs, "server", "add", "team", front, "--access-token", "-", "--use", stdin=access["value"])
            meshproxy(theirs, "api-key", "import", stdin=key)
            agents = configure(mine, "local")
            configure(theirs, "team")
            cases = {"this machine's server": mine, f"a server {options.delay:g} s away": theirs}
            runs: dict[str, list[Run]] = {name: [] for name in cases}
            for _ in range(options.rounds + 1):
                for name, environ in cases.items():
                    runs[name].append(examine(environ))
    return report({name: found[1:] for name, found in runs.items()}, agents)  # the first fills the disk's caches


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a user who has nothing yet."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MESHAGENT_", "MESHPROXY_"))}
    path = os.pathsep.join([str(AGENTS), str(Path(MESHPROXY).parent), os.environ["PATH"]])
    return kept | {
        "HOME": str(home),
        "MESHPROXY_HOME": str(home / "meshproxy"),
        "PATH": path,
        "MESHPROXY_KEYRING": "file",
    }


def report(runs: Mapping[str, list[Run]], agents: list[str]) -> int:
    """Print the table; return 1 where the bar is missed."""
    print(f"agents: {', '.join(agents) or 'none'}")
    print(f"{'doctor --no-live':<32}{'median s':>10}{'worst s':>10}{'at once':>9}  slowest check")
    missed = False
    for name, found in runs.items():
        ordered = sorted(found, key=lambda run: run.seconds)
        median = ordered[len(ordered) // 2]
        slowest = max(median.checks, key=lambda check: median.checks[check])
        missed |= median.seconds > MAX_SECONDS
        late = "  misses the bar" if median.seconds > MAX_SECONDS else ""
        told = f"{slowest} ({median.checks[slowest]} ms)"
        print(f"{name:<32}{median.seconds:>10.2f}{ordered[-1].seconds:>10.2f}{median.at_once:>9.1f}  {told}{late}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
