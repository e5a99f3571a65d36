"""Where in a TOML text a key stands."""

import tomllib
from collections.abc import Sequence
from typing import Any


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
