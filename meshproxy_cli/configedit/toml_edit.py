"""Edits of our own TOML files that keep a person's comments and order."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from meshproxy_cli.configedit.atomic import locked, write_atomic
from meshproxy_cli.configedit.files import read
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.toml_lines import toml_error

if TYPE_CHECKING:
    from meshproxy_cli.configedit.formats.toml_document import TomlDocument


def edit_toml(path: Path, change: "Callable[[TomlDocument], None]", check: Callable[[str], object]) -> bool:
    """Let `change` edit the file and return whether that made a difference; an absent file is empty.

    `check` reads the new text as every reader will and raises if it can't be used: then nothing is written. The old
    text may be wrong, as long as it is TOML: that is how it is fixed. Two processes that edit at once do so one after
    the other. Raises `TomlError` or `ConflictError`.
    """
    from meshproxy_cli.configedit.formats.toml_document import TomlDocument  # noqa: PLC0415 (25 ms, only to edit)

    with locked(path):
        before = read(path) or b""
        try:
            document = TomlDocument(before)
        except FormatError as problem:
            raise toml_error(problem, path) from None
        change(document)
        after = document.render()
        if after == before:
            return False
        check(after.decode("utf-8-sig"))
        write_atomic(path, after)
        return True
