"""The one TOML parser: TOML 1.1, as Codex reads it (`tomllib` knows 1.0 before Python 3.15)."""

from typing import Any

import tomli

from meshproxy_cli.configedit.formats.document import FormatError, ParseError


def parse(text: str) -> dict[str, Any]:
    """Return the values of a TOML text. Raises `ParseError`, or `FormatError` for one that is nested too deeply."""
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as problem:
        raise ParseError("TOML", problem.msg, problem.lineno, problem.colno) from None
    except RecursionError:
        raise FormatError("invalid TOML: nested too deeply") from None
