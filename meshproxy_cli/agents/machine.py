"""The machine an agent is configured on: its variables, its directories, its programs. Tests hand in their own."""

import os
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
        """Return the absolute path of a program, or None if it is not installed."""
        found = shutil.which(program, path=self.search_path())
        return found if found is not None and Path(found).is_absolute() else None

    def search_path(self) -> str:
        """Return PATH without empty and relative entries: these would run what lies in the current directory."""
        entries = self.environ.get("PATH", os.defpath).split(os.pathsep)
        return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute())

    def project_directories(self) -> tuple[Path, ...]:
        """Return the current directory and those above it up to the repository's root, nearest first."""
        found = []
        for directory in (self.cwd, *self.cwd.parents):
            if directory == self.home or directory in self.home.parents:
                break  # a home directory under version control is not a repository to be wary of
            found.append(directory)
            if (directory / ".git").exists():
                return tuple(found)
        return (self.cwd,)

    def in_repository(self, path: Path) -> bool:
        """Whether a path is inside the current directory, or the repository that it belongs to."""
        root = self.project_directories()[-1]
        return root not in self.home.parents and root != self.home and path.is_relative_to(root)

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
                cwd=os.sep,  # some read settings in the current directory even for this
                env=dict(self.environ) | {"PATH": self.search_path()} | environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        match = _VERSION.search(done.stdout.decode(errors="replace"))
        return (int(match[1]), int(match[2]), int(match[3])) if match else None
