"""The Room Proxy of this machine as a service of its user: a systemd unit, or on macOS a launchd agent."""

import difflib
import os
import plistlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from meshproxy_cli.agents.helper import own_program
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.cli import context, output
from meshproxy_cli.configedit.atomic import write_atomic
from meshproxy_cli.errors import ConflictError, UnavailableError, UsageError
from meshproxy_cli.settings.runtime import read_runtime
from meshproxy_cli.settings.servers import LOCAL_URL

LABEL = "com.meshagent.meshproxy"
NAME = "meshproxy.service"
_CARRIED = ("MESHPROXY_HOME", "MESHPROXY_KEYRING")
_LIMIT_S = 30.0
_MODE = 0o644

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """The service's file, and the commands that make the system read and start it, stop it, and say whether it runs.

    `hint` is what else a person may want of the system.
    """

    path: Path
    text: str
    commands: tuple[Command, ...]
    stop: tuple[Command, ...] = ()
    active: Command = ()
    hint: str = ""

    @property
    def changes(self) -> bool:
        """Whether the file is not there as it shall be, or the server does not run."""
        return _read(self.path) != self.text or not _runs()

    @property
    def title(self) -> str:
        """What a person reads in the plan."""
        return f"run `meshproxy serve` as a service of your user ({self.path})"

    @property
    def preview(self) -> str:
        """The change of the file as a diff, and the commands."""
        lines = difflib.unified_diff(
            _read(self.path).splitlines(), self.text.splitlines(), str(self.path), str(self.path), lineterm=""
        )
        return "\n".join([*lines, *(f"$ {' '.join(command)}" for command in self.commands)])

    @property
    def removal(self) -> str:
        """What taking the service away does."""
        return "\n".join([*(f"$ {' '.join(command)}" for command in self.stop), f"$ rm {self.path}"])

    def install(self) -> None:
        """Write the file, start the service and wait until it answers. Raises `UnavailableError`, `ConflictError`."""
        self._require_no_other()
        write_atomic(self.path, self.text.encode(), mode=_MODE)
        since = time.time()
        for command in self.commands:
            _call(command)
        _wait(since)
        output.success("the Room Proxy runs as a service")
        if self.hint:
            output.note(self.hint)

    def remove(self) -> None:
        """Stop the service and remove its file. Raises `UnavailableError`."""
        for command in self.stop:
            _call(command)
        self.path.unlink(missing_ok=True)
        output.success(f"the service is stopped, and {self.path} is gone; keys, usage and settings are kept")

    def _require_no_other(self) -> None:
        """Refuse where somebody's terminal runs the server: the service could not have its port."""
        if _runs() and not (self.active and _succeeds(self.active)):
            runtime = read_runtime(context.paths())
            which = f" (process {runtime.pid})" if runtime is not None else ""
            raise ConflictError(
                f"a `meshproxy serve` runs already{which}, and not as this service",
                hint="stop it (Ctrl-C in its terminal), then run this again",
            )


def plan() -> Unit:
    """Return the service for this system. Raises `UsageError` where there is neither systemd nor launchd."""
    makers: dict[str, Callable[[], Unit]] = {"linux": _systemd, "darwin": _launchd}
    if sys.platform not in makers:
        raise UsageError("--service needs systemd or launchd", hint="let your system start: meshproxy serve")
    return makers[sys.platform]()


def systemd_text(command: Command, environ: dict[str, str]) -> str:
    """Return the unit's text."""
    variables = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in environ.items())
    words = " ".join(_quoted(word).replace("$", "$$") for word in command)
    again = " ".join(_quoted(word).replace("$", "$$") for word in (command[0], *command[1 : command.index("serve")]))
    return (
        "[Unit]\nDescription=meshproxy Room Proxy\n\n"
        f"[Service]\nExecStart={words}\nExecReload={again} reload\n{variables}"
        # Answers under way may end: half a minute, and what `serve` needs to put its usage away.
        "KillMode=mixed\nTimeoutStopSec=60\nRestart=on-failure\nRestartSec=2\n\n"
        "[Install]\nWantedBy=default.target\n"
    )


def _quoted(word: str) -> str:
    """Return a word as systemd reads it (systemd.syntax(7)): quoted where needed, with no specifier in it."""
    word = word.replace("%", "%%")
    plain = all(char.isalnum() or char in "/._-+=:,@%$" for char in word)
    return word if plain and word else '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def launchd_text(command: Command, environ: dict[str, str], log: Path) -> str:
    """Return the property list's text."""
    content = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "EnvironmentVariables": environ,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": 60,
        "StandardErrorPath": str(log),
    }
    return plistlib.dumps(content).decode()


def _systemd() -> Unit:
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user" / NAME
    control = ("systemctl", "--user")
    return Unit(
        path,
        systemd_text(_serve(), _environ()),
        ((*control, "daemon-reload"), (*control, "enable", NAME), (*control, "restart", NAME)),
        stop=((*control, "disable", "--now", NAME),),
        active=(*control, "is-active", "--quiet", NAME),
        hint="it runs while you are logged in; to have it run always: loginctl enable-linger",
    )


def _launchd() -> Unit:
    path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    log = Path.home() / "Library" / "Logs" / "meshproxy.log"
    unload = ("launchctl", "unload", "-w", str(path))
    return Unit(
        path,
        launchd_text(_serve(), _environ(), log),
        (*((unload,) if path.exists() else ()), ("launchctl", "load", "-w", str(path))),
        stop=(unload,),
        active=("launchctl", "list", LABEL),
        hint=f"its log is {log}",
    )


def _serve() -> Command:
    """Return the command line of `serve`, by the path that agents' helper commands have too.

    It takes the port of the server that ran last: agents are configured for that one.
    """
    port = urlsplit(context.settings().servers["local"].url).port
    chosen = () if port == urlsplit(LOCAL_URL).port or port is None else ("--port", str(port))
    return (*own_program(os.environ), "serve", *chosen)


def _environ() -> dict[str, str]:
    return {name: value for name in _CARRIED if (value := os.environ.get(name))}


def _succeeds(command: Command) -> bool:
    return Machine.current(os.environ).find(command[0]) is not None and _run(command).returncode == 0


def _run(command: Command) -> "subprocess.CompletedProcess[bytes]":
    program = Machine.current(os.environ).find(command[0]) or command[0]
    words = [program, *command[1:]]
    return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, check=False)  # noqa: S603 (our own words)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _call(command: Command) -> None:
    try:
        done = _run(command)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise UnavailableError(
            f"`{' '.join(command)}` can't be run ({type(problem).__name__})",
            hint="without a service manager: meshproxy serve",
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UnavailableError(f"`{' '.join(command)}` failed: {said}", hint="without it: meshproxy serve")


def _runs() -> bool:
    parts = urlsplit(context.settings().servers["local"].url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1).close()
    except OSError:
        return False
    return True


def _wait(since: float) -> None:
    """Wait until a server that was started since then has said where it is, and answers there."""
    deadline = time.monotonic() + _LIMIT_S
    while (runtime := read_runtime(context.paths())) is None or runtime.started_at < since or not _runs():
        if time.monotonic() > deadline:
            raise UnavailableError(
                "the service was started and does not answer", hint="journalctl --user -u meshproxy.service says why"
            )
        time.sleep(0.1)
