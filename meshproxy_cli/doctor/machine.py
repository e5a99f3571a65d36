"""Checks of this machine: Python, the settings file, directories that can be written, room on the disk."""

import platform
import shutil
import tempfile
from pathlib import Path

from meshproxy_cli import __version__
from meshproxy_cli.agents.helper import helper_command, survives
from meshproxy_cli.configedit.receipts import load_readable
from meshproxy_cli.configedit.toml_lines import TomlError
from meshproxy_cli.doctor.check import Outcome, bad, doubtful, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.settings.schema import unknown_key

_LEAST_FREE = 50 * 1024 * 1024
_MAKE_ROOM = "only you can say what may go; this shows the largest files of that disk, the largest last:"
_PROBE = b"x" * 256 * 1024


def python(scene: DoctorContext) -> Outcome:
    """Say which versions run, and whether this installation is likely to be there tomorrow."""
    found = f"meshproxy {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}"
    if not survives(helper_command("room", scene.environ)):
        return doubtful(
            f"{found}; installed in a temporary place, and agents call it by its path", "pipx install meshproxy"
        )
    return good(found)


def settings_file(scene: DoctorContext) -> Outcome:
    """Read the settings file as every command does."""
    path = scene.paths.settings_file
    try:
        loaded = scene.settings
    except TomlError as problem:
        line = problem.message.removeprefix(f"{path}:").partition(":")[0]
        return bad(problem.message, f'"${{EDITOR:-vi}}" +{line} {quoted(path)}')
    except MeshproxyError as problem:
        if ": current is " in problem.message and "\n" not in problem.message:
            return bad(problem.message, "meshproxy config set current local")
        return bad(problem.message, f'"${{EDITOR:-vi}}" {quoted(path)}')
    if loaded.file.unknown:
        lines = "; ".join(unknown_key(key) for key in loaded.file.unknown)
        return doubtful(f"{path}: {lines}", f'"${{EDITOR:-vi}}" {quoted(path)}')
    return good(str(path) if path.exists() else f"{path} is not there: defaults are used")


def chosen_server(scene: DoctorContext) -> Outcome:
    """Say which server is meant, and why."""
    if variable := scene.environ.get("MESHAGENT_API_URL", ""):
        why = f" (MESHAGENT_API_URL={variable})" if scene.server_asked is None else ""
    else:
        why = ""
    try:
        server = scene.server
    except MeshproxyError as problem:
        if why:
            return bad(f"MESHAGENT_API_URL: {problem.message}", "unset MESHAGENT_API_URL")
        return bad(problem.message, "meshproxy server list", advice=problem.hint or "")
    return good(f"{server.name}: {server.url}{why}")


def directories(scene: DoctorContext) -> Outcome:
    """Write a small file where settings, secrets and state go."""
    for directory in (scene.paths.config_dir, scene.paths.data_dir, scene.paths.state_dir):
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        if not existing.is_dir():
            return bad(
                f"{existing} is no directory, and {directory} has to be one",
                f"mv {quoted(existing)} {quoted(existing)}.old",
            )
        try:
            _write_probe(existing)
        except PermissionError:
            return bad(f"{existing} can't be written by you", f'sudo chown -R "$(id -u)" {quoted(existing)}')
        except OSError as problem:
            return _no_room(existing, problem)
    return good("settings, secrets and state can be written")


def receipts(scene: DoctorContext) -> Outcome:
    """Read what was remembered of `configure`."""
    found, damaged = load_readable(scene.paths.receipts_dir)
    for path, problem in damaged.items():
        aside = f"mv {quoted(path)} {quoted(path)}.damaged"
        return bad(problem.message, aside, advice=f"then configure {path.name.partition('-')[0]} again; put aside by:")
    return good(f"{len(found)} times an agent was configured" if found else "no agent is configured")


def disk(scene: DoctorContext) -> Outcome:
    """Look at the room that is left where usage and secrets are kept."""
    directory = scene.paths.data_dir
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < _LEAST_FREE:
        return bad(f"only {free // 1024} KiB are free on the disk of {existing}", _largest(existing), advice=_MAKE_ROOM)
    return good(f"{free // 2**30:,} GiB free")


def _write_probe(directory: Path) -> None:
    with tempfile.TemporaryFile(dir=directory) as file:
        file.write(_PROBE)
        file.flush()


def _largest(directory: Path) -> str:
    return f"du -axk {quoted(_mount(directory))} 2>/dev/null | sort -n | tail -20"


def _mount(directory: Path) -> Path:
    """Return where the disk of a directory is mounted."""
    device = directory.stat().st_dev
    found = directory.resolve()
    while found.parent != found and found.parent.stat().st_dev == device:
        found = found.parent
    return found


def _no_room(directory: Path, problem: OSError) -> Outcome:
    import errno  # noqa: PLC0415 (only where something is broken)

    if problem.errno == errno.EFBIG:
        return bad(f"this shell lets no file grow (ulimit -f): {directory} can't be written", "ulimit -S -f unlimited")
    if problem.errno in {errno.ENOSPC, errno.EDQUOT}:
        return bad(f"the disk of {directory} is full", _largest(directory), advice=_MAKE_ROOM)
    return bad(f"{directory} can't be written: {problem.strerror}", f"ls -ld {quoted(directory)}")
