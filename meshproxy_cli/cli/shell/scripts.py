"""The scripts by which each shell asks us, where they lie, and the lines that load them: as edits, to be shown first.

Bash, zsh and PowerShell load a script of ours from their start-up file, in a block between two marks; fish looks for
one file per command by itself.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path, PurePath

from meshproxy_cli.cli.completion.answer import VARIABLE
from meshproxy_cli.configedit.atomic import write_atomic
from meshproxy_cli.configedit.formats.block_document import BlockDocument
from meshproxy_cli.configedit.formats.document import Change, FormatError
from meshproxy_cli.configedit.plan import FileEdit
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.paths import Paths

_BLOCK = "completion"
_MODE = 0o644
# Typer's script would also change what Tab does for every other command.
_NOT_OURS = ("Import-Module PSReadLine", "Set-PSReadLineKeyHandler")


class Shell(StrEnum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


def shell_of(environ: Mapping[str, str]) -> Shell:
    """Return the person's shell, as `SHELL` names it. Raises `UsageError` for one that is not known."""
    name = PurePath(environ.get("SHELL", "")).name
    if name in set(Shell):
        return Shell(name)
    raise UsageError("which shell?", hint=f"name one of {', '.join(Shell)}, such as: meshproxy completion bash")


def script(shell: Shell) -> str:
    """Return what makes the shell ask `meshproxy` when Tab is pressed."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # noqa: PLC0415 (no other name)

    text: str = get_completion_script(prog_name="meshproxy", complete_var=VARIABLE, shell=shell.value)
    return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith(_NOT_OURS))


def install(shell: Shell, paths: Paths, environ: Mapping[str, str]) -> tuple[FileEdit, ...]:
    """Return the edits that install the script. Raises `FormatError` for a start-up file that can't be edited."""
    place = _script_file(shell, paths, environ)
    written = _edit(place, script(shell).encode())
    if shell is Shell.FISH:
        return (written,)
    start = _start_file(shell, environ)
    before = _read(start)
    document = _document(start, before)
    document.put([Change((_BLOCK,), _loading(shell, place))])
    return (written, _edit(start, document.render()))


def uninstall(shell: Shell, paths: Paths, environ: Mapping[str, str]) -> tuple[FileEdit, ...]:
    """Return the edits that take it back: our file goes, and our block; all else in the start-up file stays."""
    gone = _edit(_script_file(shell, paths, environ), None)
    if shell is Shell.FISH:
        return (gone,)
    start = _start_file(shell, environ)
    before = _read(start)
    if before is None:
        return (gone,)
    document = _document(start, before)
    document.drop((_BLOCK,))
    return (_edit(start, document.render() or None), gone)


def apply(edits: tuple[FileEdit, ...]) -> None:
    """Write the edits. Raises `WriteError`."""
    for edit in edits:
        if edit.after is None:
            edit.path.unlink(missing_ok=True)
        elif edit.changes:
            write_atomic(edit.path, edit.after, mode=edit.mode)


def _script_file(shell: Shell, paths: Paths, environ: Mapping[str, str]) -> Path:
    if shell is Shell.FISH:
        config = Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        return config / "fish" / "completions" / "meshproxy.fish"
    ending = "ps1" if shell is Shell.POWERSHELL else shell.value
    return paths.data_dir / "completions" / f"meshproxy.{ending}"


def _start_file(shell: Shell, environ: Mapping[str, str]) -> Path:
    if shell is Shell.ZSH:
        return Path(environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    if shell is Shell.BASH:
        # Terminals on macOS start login shells, which read no .bashrc.
        return Path.home() / (".bash_profile" if sys.platform == "darwin" else ".bashrc")
    return _documents(environ) / "Microsoft.PowerShell_profile.ps1"


def _documents(environ: Mapping[str, str]) -> Path:
    if os.name != "nt":
        return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "powershell"
    from platformdirs import user_documents_path  # noqa: PLC0415 (Windows only: the folder may be anywhere)

    return user_documents_path() / "PowerShell"


def _loading(shell: Shell, place: Path) -> str:
    quoted = shlex.quote(str(place))
    if shell is Shell.POWERSHELL:
        quoted = "'" + str(place).replace("'", "''") + "'"
        return f"if (Test-Path {quoted}) {{ . {quoted} }}"
    if shell is Shell.ZSH:
        ready = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }"
        return f"{ready}\n[ ! -f {quoted} ] || . {quoted}"
    return f"[ ! -f {quoted} ] || . {quoted}"


def _document(path: Path, before: bytes | None) -> BlockDocument:
    try:
        document = BlockDocument(before or b"")
        document.plain()
    except FormatError as problem:
        raise FormatError(
            f"{path} can't be edited: {problem.message}", hint="load the script yourself: meshproxy completion SHELL"
        ) from None
    return document


def _edit(path: Path, after: bytes | None) -> FileEdit:
    before = _read(path)
    return FileEdit(path, "text", before, after, before, mode=_MODE)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
