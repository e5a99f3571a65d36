"""The systemd unit of `deploy/`: what systemd says about it, and its command line under the conditions that it sets."""

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from e2e import confined
from e2e.provider import OPENAI_KEY, RecordingProvider
from fixtures.commands import MESHPROXY
from fixtures.nginx import free_port
from meshproxy_cli.proxy.process import supervisor
from meshproxy_cli.store import open_store
from meshproxy_cli.store.vault import encode_master_keys, generate_master_key
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

pytestmark = pytest.mark.e2e

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "meshproxy.service"
PROGRAM = "/opt/meshproxy/.venv/bin/meshproxy"
MOST_EXPOSED = 1.5  # of 10, as systemd counts
PATIENCE_S = 60


def settings(name: str) -> list[str]:
    """Return the values that the unit gives to a setting, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)


def seconds(name: str) -> float:
    [value] = settings(name)
    return float(value)


@pytest.fixture(scope="module")
def analyze(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the command line of systemd-analyze, and the unit with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed: apt-get install systemd")
    unit = tmp_path_factory.mktemp("unit") / UNIT.name
    unit.write_text(UNIT.read_text(encoding="utf-8").replace(PROGRAM, str(MESHPROXY)), encoding="utf-8")
    return ["systemd-analyze", "--no-pager", str(unit)]


def test_systemd_understands_every_line(analyze: list[str]) -> None:
    *command, unit = analyze
    done = subprocess.run([*command, "verify", unit], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_hardened(analyze: list[str]) -> None:
    *command, unit = analyze
    done = subprocess.run(
        [*command, "security", "--offline=true", unit], capture_output=True, text=True, timeout=60, check=True
    )
    [level] = re.findall(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert float(level) <= MOST_EXPOSED, done.stdout


def test_there_is_time_to_end_in_order() -> None:
    [command] = settings("ExecStart")
    drain = float(command.partition("--drain ")[2].split()[0])
    after = supervisor._KILL_AFTER_S + supervisor._SHIP_AT_END_S
    assert seconds("TimeoutStopSec") >= drain + after
    assert settings("KillMode") == ["mixed"]


def test_it_is_started_again_for_as_long_as_the_database_is_away() -> None:
    assert settings("Restart") == ["on-failure"]
    assert settings("StartLimitIntervalSec") == ["0"], "by default five tries in ten seconds are the last"


@dataclass(frozen=True)
class Service:
    """The unit's process; `key` is an API key's token for the room "r"."""

    process: "subprocess.Popen[bytes]"
    environ: dict[str, str] = field(repr=False)
    port: int
    token: str
    state: Path

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", "Meshagent-Session": "systemd"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False


@contextmanager
def as_a_service(directory: Path, provider: RecordingProvider) -> Iterator[Service]:
    """Start ExecStart with the unit's environment, credentials, system calls and descriptors."""
    state, credentials = directory / "meshproxy", directory / "credentials"
    (state / "config").mkdir(parents=True)
    credentials.mkdir()
    master_key = generate_master_key()
    secrets = {"master-key": encode_master_keys([master_key]), "openai": OPENAI_KEY}
    for name, secret in secrets.items():
        (credentials / name).write_text(secret, encoding="utf-8")
        (credentials / name).chmod(0o400)
    port = free_port()
    [reference] = re.findall(r'keys = (\["file:.*?"\])', UNIT.read_text(encoding="utf-8"))
    key = reference.replace("/run/credentials/meshproxy.service", str(credentials))
    (state / "config" / "server.toml").write_text(
        f'[server]\nport = {port}\nworkers = 4\npublic_url = "https://mesh.example.com"\n'
        f'[providers.openai]\nprotocol = "openai"\nbase_url = "{provider.origin}/v1"\nkeys = {key}\n',
        encoding="utf-8",
    )
    database = f"sqlite:///{state}/data/meshproxy.db"
    store = open_store(database, master_key=master_key)
    api_key = store.create_api_key(store.ensure_project().id, "tests")
    store.close()
    token = mint(TokenSpec.for_room("tester", "r"), api_key, now=int(time.time()))
    variables = dict(value.split("=", 1) for value in settings("Environment"))
    variables = {name: value.replace("%S", str(directory)) for name, value in variables.items()}
    variables = {name: value.replace("%d", str(credentials)) for name, value in variables.items()}
    system = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    environ = system | variables | {"MESHPROXY_DATABASE_URL": database}
    [line] = settings("ExecStart")
    command = installed(line)
    limits = ["sh", "-c", f'umask {settings("UMask")[0]}; ulimit -n "$1"; shift; exec "$@"', "sh", str(descriptors())]
    with (directory / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            [*limits, *command],
            env=environ,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Service(process, environ, port, token, state)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def installed(line: str) -> list[str]:
    """Return a command line of the unit with the program where it is, under the unit's limits."""
    confinement = [sys.executable, confined.__file__, *settings("SystemCallFilter"), "--"]
    return [*confinement, *shlex.split(line.replace(PROGRAM, str(MESHPROXY)))]


def descriptors() -> int:
    """Return LimitNOFILE=, or what this machine allows."""
    allowed = int(subprocess.run(["sh", "-c", "ulimit -Hn"], capture_output=True, text=True, check=True).stdout)
    return min(int(settings("LimitNOFILE")[0]), allowed)


def test_it_serves_as_the_unit_starts_it(tmp_path: Path, analyze: list[str], provider: RecordingProvider) -> None:
    del analyze  # the fixture says what is missing
    provider.forget()
    with as_a_service(tmp_path, provider) as service:
        log = tmp_path / "serve.log"
        deadline = time.monotonic() + PATIENCE_S
        while not service.answers():
            assert service.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        body = json.dumps({"model": "gpt-5.4", "input": "ping"})
        assert service.ask("POST", "/rooms/r/openai/v1/responses", body)[0] == 200, log.read_text()
        assert provider.requests[0].header("authorization") == f"Bearer {OPENAI_KEY}"
        [reload] = settings("ExecReload")
        subprocess.run(installed(reload), env=service.environ, stdin=subprocess.DEVNULL, check=True, timeout=PATIENCE_S)
        assert service.ask("POST", "/rooms/r/openai/v1/responses", body)[0] == 200
        service.process.terminate()  # KillMode=mixed: the parent alone
        assert service.process.wait(PATIENCE_S) == 0, log.read_text()
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.1", service.port), timeout=5):
            pass
        written = [one for one in (service.state / "data").rglob("*") if one.is_file()]
        assert [str(one) for one in written if one.stat().st_mode & 0o077] == []
        assert written
        assert "Traceback" not in log.read_text()
