"""Where in a TOML text a key, or an error, stands."""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meshproxy_cli.errors import UsageError


class TomlError(UsageError):
    """A file is no TOML; the message names file and line. Nothing was changed."""


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse the text of a TOML file. Raises `TomlError`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", str(problem))
        what = str(problem)[: found.start()] if found else str(problem)
        line = found[1] if found and found[1] else len(text.splitlines())
        raise TomlError(f"{path}:{line}: this is no TOML: {what}", hint="mend that line") from None


def line_of(text: str, keys: Sequence[str]) -> int:
    """Return the line (from 1) on which the value under `keys` ends, or 1 where there is none.

    The TOML parser itself says so: it is the last line of the shortest beginning of the text that has the key.
    Slow (one parse for each line), and meant for messages only.
    """
    lines = text.splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        try:
            content: Any = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue  # inside a value of several lines
        for key in keys:
            content = content.get(key) if isinstance(content, dict) else None
        if content is not None:
            return count
    return 1
