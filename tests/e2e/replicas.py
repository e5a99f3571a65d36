"""Replicas of one Room Proxy, as on several machines: each with its own directory and port, all on one PostgreSQL."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from e2e.provider import RecordingProvider
from fixtures.commands import MESHPROXY, Home
from fixtures.nginx import free_port

START_LIMIT_S = 60
DRAIN_S = 20


@dataclass
class Replica:
    """One machine: `start` it, `kill` it as a power cut would, or `drain` it. Its port stays the same."""

    home: Home
    port: int
    environ: Mapping[str, str] = field(repr=False)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.home.root / "serve.log"

    def start(self) -> None:
        """Start it; `wait` until it is ready."""
        self.home.root.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [MESHPROXY, "serve", "--port", str(self.port), "--drain", str(DRAIN_S)],
                env=self.home.environ(self.environ),
                cwd=self.home.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, status: str = "ok") -> None:
        """Wait until `/readyz` says this status."""
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process is not None and self.process.poll() is None:
            if self.readiness() == status:
                return
            time.sleep(0.05)
        pytest.fail(f"the replica did not get {status}\n{self.log.read_text(errors='replace')}")

    def readiness(self) -> str:
        """Return what `/readyz` says, "" where nobody answers."""
        try:
            return str(json.loads(self.ask("GET", "/readyz")[1])["status"])
        except OSError:
            return ""

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> tuple[int, bytes]:
        """Send one request straight to it."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body or None, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def kill(self) -> None:
        """End all its processes at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self) -> None:
        """Tell it to end in order."""
        assert self.process is not None
        self.process.terminate()

    def drained(self) -> int:
        """Wait for its end and return the exit code."""
        assert self.process is not None
        return self.process.wait(DRAIN_S + 20)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process is not None and self.process.poll() is None:
            self.kill()


@contextmanager
def replicas(
    directory: Path, number: int, database_url: str, provider: RecordingProvider, master_key: str
) -> Iterator[Sequence[Replica]]:
    """Start some, all at the same time on a database that may be empty, and wait until they are ready."""
    environ: dict[str, Any] = provider.environment() | {
        "MESHPROXY_DATABASE_URL": database_url,
        "MESHPROXY_MASTER_KEY": master_key,
    }
    started = [Replica(Home(directory / f"machine-{one}"), free_port(), environ) for one in range(number)]
    try:
        for replica in started:
            replica.start()
        for replica in started:
            replica.wait()
        yield started
    finally:
        for replica in started:
            replica.close()
