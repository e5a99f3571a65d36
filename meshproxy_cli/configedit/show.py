"""Edits as a person reads them: unified diffs without secrets."""

import difflib
from collections.abc import Sequence

from meshproxy_cli.configedit.formats.document import lines_of
from meshproxy_cli.configedit.plan import FileEdit
from meshproxy_cli.redact import redact_settings


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
    # Redacted after comparing: a changed secret still is a changed line.
    return "".join(_whole(redact_settings(line)) for line in lines)


def _whole(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _lines(data: bytes | None) -> list[str]:
    text = (data or b"").decode("utf-8", errors="replace")
    return lines_of(text.replace("\r\n", "\n"))
