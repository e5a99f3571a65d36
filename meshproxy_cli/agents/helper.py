"""The command line that agents run for a token: an absolute one that survives a new shell and an upgrade."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_NAME = "meshproxy"
# What decides where meshproxy finds its keys: an agent that is started from a desktop does not inherit it.
_CARRIED = ("MESHPROXY_HOME", "MESHPROXY_KEYRING")
# Environments that a package runner makes for one run, and may remove.
_PASSING = ("/uv/archive-v", "/uv/environments-v", "/.cache/pipx/", "/pip-run-")


def helper_command(room: str, environ: Mapping[str, str], *, server: str | None = None) -> tuple[str, ...]:
    """Return what prints a token for `room`; `server` only if it is not the default one."""
    arguments = ("token", "get", "--room", room, *(("--server", server) if server else ()))
    return (*_carried(environ), *_program(environ), *arguments)


def survives(command: tuple[str, ...]) -> bool:
    """Whether the program in a helper command is likely to be there tomorrow."""
    program = next(part for part in command if "=" not in part and part != "/usr/bin/env")
    inside_temporary = Path(program).is_relative_to(tempfile.gettempdir())
    return not inside_temporary and not any(mark in program for mark in _PASSING)


def _carried(environ: Mapping[str, str]) -> tuple[str, ...]:
    pairs = []
    for name in _CARRIED:
        if value := environ.get(name):
            absolute = Path(value).expanduser().absolute() if name == "MESHPROXY_HOME" else value
            pairs.append(f"{name}={absolute}")
    return ("/usr/bin/env", *pairs) if pairs and os.name == "posix" else ()


def _program(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the console script of this very installation, by the name on PATH if that is the same one."""
    script = _own_script()
    if script is None:
        return sys.executable, "-m", "meshproxy_cli"
    on_path = shutil.which(_NAME, path=environ.get("PATH"))
    # A link on PATH outlives the environment behind it when that is upgraded.
    if on_path is not None and Path(on_path).resolve() == script.resolve():
        return (os.path.abspath(on_path),)  # noqa: PTH100 (Path.absolute keeps `..`)
    return (str(script),)


def _own_script() -> Path | None:
    beside = Path(sys.executable).parent / (f"{_NAME}.exe" if os.name == "nt" else _NAME)
    return beside if beside.is_file() and os.access(beside, os.X_OK) else None
