"""What Typer says of a command line that it can't parse, in the words of all our errors, with the nearest that fits."""

import errno
from collections.abc import Iterable, Iterator
from pathlib import Path

import typer

from meshproxy_cli.cli.tree import Group, Tree
from meshproxy_cli.errors import MeshproxyError, UsageError
from meshproxy_cli.suggest import did_you_mean, nearest_names

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
_PLAIN = {"a valid int range": "a whole number", "a valid float range": "a number", "a valid int": "a whole number"}


def unknown_command(path: str, name: str, tree: Tree, root: Tree) -> UsageError:
    """Return the error for `name` behind `path`: the nearest commands there, else the same word elsewhere."""
    near = [f"{path} {word}" for word in nearest_names(name, tree)] or list(_elsewhere(name, root))
    meant = f"; did you mean {' or '.join(f'`{command}`' for command in near)}?" if near else ""
    return UsageError(f"{path} has no command {name!r}{meant}", hint=_read_on(path))


def mistake(problem: typer.TyperException) -> UsageError:
    """Return our error for one of Typer's."""
    context = getattr(problem, "ctx", None)
    path = context.command_path if context else "meshproxy"
    return UsageError(_message(problem, path), hint=_read_on(path))


def of_the_system(problem: Exception) -> MeshproxyError | None:
    """Return our error for what the system refuses to any command: a working directory, a place to write to."""
    if isinstance(problem, FileNotFoundError) and not _has_working_directory():
        return MeshproxyError("the directory that this shell is in was removed", hint="go to one that is there: cd ~")
    if isinstance(problem, OSError) and problem.errno in _UNWRITABLE and problem.filename is None:
        return MeshproxyError(f"the output can't be written: {problem.strerror}")
    return None


def _has_working_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _message(problem: typer.TyperException, path: str) -> str:
    option = getattr(problem, "option_name", None)
    if option is not None and hasattr(problem, "possibilities"):
        return f"{path} has no option {option}{_either(problem.possibilities or ())}"
    text = " ".join(problem.format_message().rstrip(".").split())
    for theirs, plain in _PLAIN.items():
        text = text.replace(theirs, plain)
    choices = getattr(getattr(getattr(problem, "param", None), "type", None), "choices", None)
    if choices and (wrong := _quoted(text)):
        written = [getattr(choice, "value", choice) for choice in choices]
        text += did_you_mean(wrong, written)
    return text[:1].lower() + text[1:]


def _either(names: Iterable[str]) -> str:
    near = [name for name in names if name.startswith("--")]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _quoted(text: str) -> str:
    """Return the value that was given: Typer says "Invalid value for '--to': 'fil' is not one of …"."""
    return text.partition(": '")[2].partition("'")[0]


def _elsewhere(name: str, root: Tree, path: str = "meshproxy") -> Iterator[str]:
    for word, entry in root.items():
        if word == name:
            yield f"{path} {word}"
        if isinstance(entry, Group):
            yield from _elsewhere(name, entry.commands, f"{path} {word}")


def _read_on(path: str) -> str:
    return f"`{path} --help` shows what can be given"
