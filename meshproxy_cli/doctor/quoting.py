"""Words of commands that a person is to copy."""

import shlex
from pathlib import Path


def quoted(word: str | Path) -> str:
    """Return a word as a shell reads it."""
    return shlex.quote(str(word))
