"""Edits as a person reads them: unified diffs in which secrets are masked."""

import difflib
import re
from collections.abc import Sequence

from meshproxy_cli.configedit.formats.document import lines_of
from meshproxy_cli.configedit.plan import FileEdit

# Values of variables and keys that hold credentials, and texts that look like one wherever they stand.
_NAMED = re.compile(
    r"""(?ix) ( ["']? \b [\w.-]* (?:key|token|secret|password|authorization) ["']? \s* [:=] \s* ["']? )
    ( (?:bearer\s+)? [^\s"',$!/{}()]{8,} )"""
)
_SHAPED = re.compile(r"\b(?:sk-|ms-|eyJ|ghp_|xox[abp]-)[\w.-]{8,}")


def diff(edits: Sequence[FileEdit]) -> str:
    """Return one unified diff for all edits that change something."""
    return "".join(_one(edit) for edit in edits if edit.changes)


def _one(edit: FileEdit) -> str:
    name = str(edit.path)
    lines = difflib.unified_diff(
        _lines(edit.before),
        _lines(edit.after),
        fromfile=name if edit.before is not None else "/dev/null",
        tofile=name if edit.after is not None else "/dev/null",
    )
    # Masked after comparing: a changed secret still is a changed line.
    return "".join(_whole(mask(line)) for line in lines)


def _whole(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(data: bytes | None) -> list[str]:
    text = (data or b"").decode("utf-8", errors="replace")
    return lines_of(text.replace("\r\n", "\n"))


def mask(text: str) -> str:
    """Return the text with everything that looks like a credential replaced by dots."""
    return _SHAPED.sub("••••", _NAMED.sub(r"\1••••", text))
