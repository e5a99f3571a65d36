"""Edits of our own TOML files that keep a person's comments and order."""

from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshproxy_cli.configedit.atomic import locked, write_atomic
from meshproxy_cli.configedit.toml_lines import parse_toml
from meshproxy_cli.errors import UsageError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

_BOM = "\ufeff"


def edit_toml(path: Path, change: "Callable[[TOMLDocument], None]", check: Callable[[str], object]) -> bool:
    """Let `change` edit the file and return whether that made a difference; an absent file is empty.

    `check` reads the new text as every reader will and raises where it can't be used: then nothing is written. The
    old text may be wrong, as long as it is TOML: that is how it is mended. Two processes that edit at once do so one
    after the other. Raises `UsageError`.
    """
    import tomlkit  # noqa: PLC0415 (25 ms, only where a file is edited)

    with locked(path):
        before = _read(path)
        parse_toml(before, path)
        document = tomlkit.parse(before)
        change(document)
        after = tomlkit.dumps(document)
        if after == before:
            return False
        check(after)
        write_atomic(path, _as_before(after, before, had_bom=_has_bom(path)).encode())
        return True


def table_in(document: "TOMLDocument", *keys: str) -> MutableMapping[str, Any]:
    """Return the table under `keys`, made where it is missing, as `[a.b]` without an empty `[a]` above it."""
    import tomlkit  # noqa: PLC0415 (its caller holds a document, so it is loaded)

    found: MutableMapping[str, Any] = document
    for index, key in enumerate(keys):
        if key not in found:
            found[key] = tomlkit.table(is_super_table=index < len(keys) - 1)
        found = found[key]
    return found


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{path} can't be read: {problem}") from problem


def _has_bom(path: Path) -> bool:
    return path.exists() and path.read_bytes().startswith(_BOM.encode())


def _as_before(after: str, before: str, *, had_bom: bool) -> str:
    if "\r\n" in before:
        after = after.replace("\r\n", "\n").replace("\n", "\r\n")
    return (_BOM if had_bom else "") + after
