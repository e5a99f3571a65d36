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

from meshproxy_cli.agents.helper import helper_command
from meshproxy_cli.cli import context, output
from meshproxy_cli.errors import UnavailableError, UsageError
from meshproxy_cli.settings.atomic import write_atomic

LABEL = "com.meshagent.meshproxy"
_CARRIED = ("MESHPROXY_HOME", "MESHPROXY_KEYRING")
_PROVIDER_KEYS = {"OPENAI_API_KEY": "openai", "ANTHROPIC_API_KEY": "anthropic"}
_LIMIT_S = 30.0
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class Unit:
    """The service's file, and the commands that make the system read and start it."""

    path: Path
    text: str
    commands: tuple[tuple[str, ...], ...]

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

    def install(self) -> None:
        """Write the file, start the service and wait until it answers. Raises `UnavailableError`."""
        write_atomic(self.path, self.text.encode(), mode=_MODE)
        for command in self.commands:
            _call(command)
        _wait()
        output.success("the Room Proxy runs as a service")
        for variable, provider in _PROVIDER_KEYS.items():
            if os.environ.get(variable):
                output.warn(
                    f"the service does not see this shell's {variable}: meshproxy provider add {provider} --api-key -"
                )


def plan() -> Unit:
    """Return the service for this system. Raises `UsageError` where there is neither systemd nor launchd."""
    makers: dict[str, Callable[[], Unit]] = {"linux": _systemd, "darwin": _launchd}
    if sys.platform not in makers:
        raise UsageError("--service needs systemd or launchd", hint="let your system start: meshproxy serve")
    return makers[sys.platform]()


def systemd_text(command: tuple[str, ...], environ: dict[str, str]) -> str:
    """Return the unit's text."""
    variables = "".join(f'Environment="{name}={value}"\n' for name, value in environ.items())
    words = " ".join(f'"{word}"' if " " in word else word for word in command)
    return (
        "[Unit]\nDescription=meshproxy Room Proxy\nAfter=network-online.target\n\n"
        f"[Service]\nExecStart={words}\nExecReload=/bin/kill -HUP $MAINPID\n{variables}Restart=on-failure\nRestartSec=2\n\n"
        "[Install]\nWantedBy=default.target\n"
    )


def launchd_text(command: tuple[str, ...], environ: dict[str, str]) -> str:
    """Return the property list's text."""
    content = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "EnvironmentVariables": environ,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
    }
    return plistlib.dumps(content).decode()


def _systemd() -> Unit:
    path = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user" / "meshproxy.service"
    commands = (
        ("systemctl", "--user", "daemon-reload"),
        ("systemctl", "--user", "enable", "--now", "meshproxy.service"),
    )
    return Unit(path, systemd_text(_serve(), _environ()), commands)


def _launchd() -> Unit:
    path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    commands = (("launchctl", "load", "-w", str(path)),)
    return Unit(path, launchd_text(_serve(), _environ()), commands)


def _serve() -> tuple[str, ...]:
    """Return the command line of `serve`, by the path that agents' helper commands have too."""
    helper = helper_command("room", os.environ)
    program = helper[: helper.index("token")]
    return (*(part for part in program if part != "/usr/bin/env" and "=" not in part), "serve")


def _environ() -> dict[str, str]:
    return {name: value for name in _CARRIED if (value := os.environ.get(name))}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _call(command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, check=False)  # noqa: S603 (shown and agreed)
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


def _wait() -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not _runs():
        if time.monotonic() > deadline:
            raise UnavailableError(
                "the service was started and does not answer", hint="journalctl --user -u meshproxy.service says why"
            )
        time.sleep(0.1)
