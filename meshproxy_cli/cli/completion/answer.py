"""Answers the shell when Tab is pressed. Whatever goes wrong is silent: a message would land in the command line."""

import contextlib
import io
import os
from typing import Any

from meshproxy_cli.errors import ExitCode

#: Set by the shells' scripts to `complete_bash`, `complete_zsh` and so on.
VARIABLE = "_MESHPROXY_COMPLETE"


def is_asked() -> bool:
    """Whether a shell asks for completions, instead of a person for a command."""
    return bool(os.environ.get(VARIABLE))


def answer(root: Any) -> int:  # noqa: ANN401 (Typer's own types are private)
    """Print what `root` offers for the words that the shell handed over, and return the exit code."""
    from typer.completion import completion_init  # type: ignore[attr-defined]  # noqa: PLC0415 (no other name for it)

    completion_init()
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            root.main(args=[], prog_name="meshproxy", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK
    except Exception:  # noqa: BLE001 (see above)
        return ExitCode.FAILURE
    return ExitCode.OK
