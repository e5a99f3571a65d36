"""Our own TOML files as they are read: a value's line, and what is wrong with a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshproxy_cli.configedit.formats.document import FormatError, ParseError
from meshproxy_cli.configedit.formats.toml_parser import parse
from meshproxy_cli.errors import UsageError


class TomlError(UsageError):
    """A file is not valid TOML; the message names file, line and column. Nothing was changed."""


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse the text of a TOML file. Raises `TomlError`."""
    try:
        return parse(text)
    except FormatError as problem:
        raise toml_error(problem, path) from None


def toml_error(problem: FormatError, path: Path) -> TomlError:
    """Return the error for a file of our own that does not parse."""
    if isinstance(problem, ParseError):
        return TomlError(f"{path}:{problem.line}:{problem.column}: invalid TOML: {problem.what}", hint="fix that line")
    return TomlError(f"{path}: {problem.message}")


def line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line (from 1) on which the value under `keys` ends, or 1 if there is none.

    The TOML parser itself says so: it is the last line of the shortest beginning of the text that has the key.
    Slow (one parse for each line), and meant for messages only.
    """
    lines = text.splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        try:
            content: Any = parse("".join(lines[:count]))
        except FormatError:
            continue  # inside a value of several lines
        for key in keys:
            content = content.get(key) if isinstance(content, dict) else None
        if content is not None:
            return count
    return 1
