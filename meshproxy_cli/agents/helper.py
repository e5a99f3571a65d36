"""The command line that agents run for a token: it survives a new shell and an upgrade.

Agents run it in whatever repository they are started in, so nothing in there may choose what runs: no relative entry of
PATH or PYTHONPATH, and no package of our name in the current directory.
"""

import functools
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.errors import UnavailableError

_NAME = "meshproxy"
_MODULE = "meshproxy_cli"
_ENV = "/usr/bin/env"
# What decides where meshproxy finds its keys: an agent that is started from a desktop does not inherit it.
_CARRIED = ("MESHPROXY_HOME", "MESHPROXY_KEYRING")
# Environments that a package runner makes for one run, and may remove.
_PASSING = ("/uv/archive-v", "/uv/environments-v", "/.cache/pipx/", "/pip-run-")


def helper_command(room: str, environ: Mapping[str, str], *, server: str | None = None) -> tuple[str, ...]:
    """Return what prints a token for `room`; `server` only if it is not the default one.

    Raises `UnavailableError` if there is no command that is safe in any directory.
    """
    arguments = ("token", "get", "--room", room, *(("--server", server) if server else ()))
    return (*_prefix(environ), *own_program(environ), *arguments)


def own_program(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what runs this installation, and nothing else, from any directory.

    That is its console script: by the name on PATH if that is the same file, since a link there outlives the
    environment behind it. Without a script, Python runs the package with the current directory left out. Raises
    `UnavailableError` if that can't import it.
    """
    script = _own_script()
    if script is None:
        return _isolated(sys.executable)
    machine = Machine.current(environ)
    on_path = machine.find(_NAME)
    if on_path is not None and not machine.in_repository(Path(on_path)) and Path(on_path).resolve() == script.resolve():
        return (os.path.abspath(on_path),)  # noqa: PTH100 (Path.absolute keeps `..`)
    return (str(script),)


def program_of(command: Sequence[str]) -> str | None:
    """Return the program in a token command, behind `env` and its variables."""
    words = iter(command)
    for word in words:
        if word == "-u":
            next(words, None)
        elif word != _ENV and "=" not in word:
            return word
    return None


def is_unsafe(command: Sequence[str]) -> bool:
    """Whether a token command runs code of the directory that an agent is started in, as 0.1.0 wrote it."""
    program = program_of(command)
    if program is None or not Path(program).is_absolute():
        return True
    options = list(command[command.index(program) + 1 :])
    if options[:1] == ["token"]:
        return False
    before = options[: options.index("-m")] if "-m" in options else options
    return "-m" in options and not {"-I", "-P"} & set(before)


def survives(command: tuple[str, ...]) -> bool:
    """Whether the program in a helper command is likely to be there tomorrow."""
    program = program_of(command) or ""
    inside_temporary = Path(program).is_relative_to(tempfile.gettempdir())
    return not inside_temporary and not any(mark in program for mark in _PASSING)


def _prefix(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return `env` with the variables that the command needs, and without a PYTHONPATH that leads into repositories."""
    if os.name != "posix":
        return ()
    paths = environ.get("PYTHONPATH")
    words = (
        ["-u", "PYTHONPATH"] if paths and not all(Path(one).is_absolute() for one in paths.split(os.pathsep)) else []
    )
    for name in _CARRIED:
        if value := environ.get(name):
            absolute = Path(value).expanduser().absolute() if name == "MESHPROXY_HOME" else value
            words.append(f"{name}={absolute}")
    return (_ENV, *words) if words else ()


def _own_script() -> Path | None:
    """Return this installation's console script: of the scheme that it was installed by, else beside the interpreter.

    The script that runs right now is taken where neither has one.
    """
    places = [*_script_directories(), Path(sys.executable).parent]
    name = f"{_NAME}.exe" if os.name == "nt" else _NAME
    running = Path(sys.argv[0])
    candidates = [*(place / name for place in places), *([running] if running.name == name else [])]
    return next((one for one in candidates if one.is_absolute() and one.is_file() and os.access(one, os.X_OK)), None)


def _script_directories() -> Iterator[Path]:
    package = Path(__file__).parents[2].resolve()
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        libraries = {Path(sysconfig.get_path(kind, scheme)).resolve() for kind in ("purelib", "platlib")}
        if package in libraries:
            yield Path(sysconfig.get_path("scripts", scheme))


@functools.cache
def _isolated(interpreter: str) -> tuple[str, ...]:
    """Return Python with the package, without the current directory and PYTHON* variables; it is tried first.

    `-I` leaves out what `pip install --user` installed, too: for that, only the directory and the variables.
    """
    for options in (("-I",), ("-E", "-P")):
        command = (interpreter, *options, "-m", _MODULE)
        try:
            done = subprocess.run(  # noqa: S603 (this interpreter)
                [*command, "--version"],
                cwd=os.sep,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return command
    raise UnavailableError(
        "no command runs meshproxy safely from any directory: its console script was not found",
        hint="install it with: uv tool install meshproxy (or pipx install meshproxy)",
    )
