"""Patients for doctor: users of one shared Room Proxy, each with a home of their own that a test breaks."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from typing import Any

from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from fixtures.proxies import RoomProxy

QUICK = ("--no-live",)
PATIENCE_S = 20
OF_THE_SHELL = ("export ", "unset ", "ulimit ", "set ")


@dataclass(frozen=True)
class Diagnosis:
    """What doctor said."""

    code: int
    content: Mapping[str, Any]

    @property
    def first(self) -> str | None:
        return self.content["first"]

    def check(self, ident: str) -> Mapping[str, Any]:
        return next(one for one in self.content["checks"] if one["id"] == ident)

    def status(self, ident: str) -> str:
        return self.check(ident)["status"]

    @property
    def broken(self) -> dict[str, str]:
        return {one["id"]: one["found"] for one in self.content["checks"] if one["status"] in {"failed", "unknown"}}


@dataclass
class Patient:
    """A user with a key, and a room of their own; `prelude` is what their shell ran before."""

    proxy: RoomProxy
    home: Home
    room: str
    agents: Agents
    cli: Cli
    environ: dict[str, str] = field(default_factory=dict)
    prelude: str = ""
    directory: Path | None = None

    def __post_init__(self) -> None:
        temporary = self.home.root / "tmp"  # where the tests' own checkout is not: doctor warns of one that will pass
        temporary.mkdir(exist_ok=True)
        self.environ["TMPDIR"] = str(temporary)

    @property
    def settings_file(self) -> Path:
        return self.home.state / "config" / "settings.toml"

    @property
    def secrets_file(self) -> Path:
        return self.home.state / "secrets" / "secrets.json"

    @property
    def codex_config(self) -> Path:
        return self.home.directory / ".codex" / "config.toml"

    def secrets(self) -> dict[str, Any]:
        return json.loads(self.secrets_file.read_text(encoding="utf-8"))

    def write_secrets(self, content: Mapping[str, Any]) -> None:
        self.secrets_file.write_text(json.dumps(content), encoding="utf-8")

    def runtime(self, **changes: Any) -> None:
        """Change what `serve` told its user's commands."""
        path = self.home.state / "state" / "serve.json"
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    def use_server(self, url: str) -> None:
        self.cli("server", "add", "team", url, "--use")

    def configure(self, agent: str, *arguments: str) -> None:
        self.environ |= self.agents.path(self.home, agent)
        self.start_quickly()
        self.cli("configure", agent, "--room", self.room, *arguments, "--yes", environ=self.environ)

    def program(self, name: str, script: str) -> None:
        """Put a program of the test's own first on the PATH, in the place of the system's."""
        programs = self.home.root / "programs"
        programs.mkdir(exist_ok=True)
        (programs / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
        if not self.environ["PATH"].startswith(f"{programs}{os.pathsep}"):
            self.environ["PATH"] = f"{programs}{os.pathsep}{self.environ['PATH']}"

    def start_quickly(self) -> None:
        """Put the `meshproxy` that starts quickly first on the PATH."""
        path = self.environ.get("PATH") or self.home.environ()["PATH"]
        self.environ["PATH"] = f"{self.cli.program.parent}{os.pathsep}{path}"

    def doctor(self, *arguments: str, remedy: str = "", stdin: str = "") -> Diagnosis:
        """Run `remedy` and then doctor in the patient's shell."""
        script = "\n".join([self.prelude, remedy + " >&2" if remedy else "", 'meshproxy doctor --json "$@"'])
        done = subprocess.run(
            ["bash", "-c", script, "doctor", "--limit", "30", *(arguments or QUICK)],
            env=self.home.environ(self.environ),
            cwd=self.directory or self.home.directory,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        self.cli.check(done.stdout + done.stderr, "what doctor wrote")
        assert done.stdout, done.stderr
        return Diagnosis(done.returncode, json.loads(done.stdout))

    def create_room(self) -> None:
        """Create the patient's room, and wait until the running server has heard of it."""
        self.cli("room", "create", self.room)
        deadline = time.monotonic() + PATIENCE_S
        while self.doctor().status("accepted") != "ok" and time.monotonic() < deadline:
            time.sleep(0.2)

    def in_namespace(self, script: str) -> "subprocess.CompletedProcess[str]":
        """Run a script where this user may mount what they like, and nobody else sees it: the fork server neither."""
        slowly = [part for part in self.environ["PATH"].split(os.pathsep) if part != str(self.cli.program.parent)]
        return subprocess.run(
            [*NAMESPACE, "bash", "-euc", script],
            env=self.home.environ(self.environ | {"PATH": os.pathsep.join(slowly)}),
            cwd=self.home.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def is_fixed(self, first_failure: str, *arguments: str, stdin: str = "") -> Diagnosis:
        """See doctor name the first_failure first, run the command that it prints, and see it well again."""
        ill = self.doctor(*arguments)
        assert (ill.code, ill.first) == (1, first_failure), ill.broken
        remedy = ill.check(first_failure)["remedy"]
        assert remedy, ill.check(first_failure)
        well = self.doctor(*arguments, remedy=remedy, stdin=stdin)
        deadline = time.monotonic() + PATIENCE_S
        while well.code and not remedy.startswith(OF_THE_SHELL) and time.monotonic() < deadline:
            time.sleep(0.2)  # a running server hears of a change within a second
            well = self.doctor(*arguments)
        assert (well.code, well.status(first_failure) in {"ok", "warning"}) == (0, True), (remedy, well.broken)
        return ill


def admit(proxy: RoomProxy, root: Path, room: str, agents: Agents, program: Path) -> Patient:
    """Return a new user of the server with a working setup: its settings, its key, and no agent yet."""
    home = Home(root)
    for name in ("secrets/secrets.json", "state/serve.json"):
        target = home.state / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy2(proxy.home.state / name, target)
    patient = Patient(proxy, home, room, agents, Cli(home, set(proxy.cli.secrets), program))
    patient.start_quickly()
    patient.settings_file.parent.mkdir(mode=0o700)
    patient.settings_file.write_text(f'[servers.local]\nroom = "{room}"\n', encoding="utf-8")
    return patient


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def may_mount() -> bool:
    """Whether this user may mount something in a namespace of their own."""
    mount = ["mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run([*NAMESPACE, *mount], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False


def owner(proxy: RoomProxy, room: str, agents: Agents, program: Path) -> Patient:
    """Return the user who runs the server, in a room of their own; the server's settings are theirs to change."""
    patient = Patient(proxy, proxy.home, room, agents, Cli(proxy.home, proxy.cli.secrets, program))
    patient.start_quickly()
    patient.environ["MESHAGENT_ROOM"] = room
    return patient


@contextmanager
def stand_in(
    *,
    status: int = 200,
    body: str = '{"status": "ok", "reasons": []}',
    late_s: Callable[[], int] = int,
    tls: SSLContext | None = None,
    location: str = "",
) -> Iterator[str]:
    """Run something that is no healthy Room Proxy on loopback; yield its URL. `late_s` is asked for each answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() - late_s(), usegmt=True))
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = _Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Keep quiet: a client that goes away in the middle is what is tested."""
