"""The machine an agent is configured on: its variables, its directories, its programs. Tests hand in their own."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TIMEOUT_S = 10.0
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Machine:
    """Where agents look. `root` is where the system's files lie (`/`)."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    root: Path = Path("/")

    @classmethod
    def current(cls, environ: Mapping[str, str]) -> "Machine":
        """Return the machine that this process runs on."""
        return cls(environ, Path.home(), Path.cwd())

    def directory(self, variable: str, default: str) -> Path:
        """Return the directory of `variable`, or `default` below the home directory."""
        chosen = self.environ.get(variable)
        return Path(chosen).expanduser().absolute() if chosen else self.home / default

    def config_home(self) -> Path:
        """Return `$XDG_CONFIG_HOME`, by default `~/.config`."""
        return self.directory("XDG_CONFIG_HOME", ".config")

    def find(self, program: str) -> str | None:
        """Return the path of a program, or None if it is not installed."""
        return shutil.which(program, path=self.environ.get("PATH"))

    def version(self, program: str, **environ: str) -> Version | None:
        """Ask a program for its version; None if it is not installed, does not answer in time, or says none.

        `environ` is set for the program in addition.
        """
        path = self.find(program)
        if path is None:
            return None
        try:
            done = subprocess.run(  # noqa: S603 (the agent that is being configured)
                [path, "--version"],
                env=dict(self.environ) | environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = _VERSION.search(done.stdout.decode(errors="replace"))
        return (int(match[1]), int(match[2]), int(match[3])) if match else None
