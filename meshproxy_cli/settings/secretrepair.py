"""Saves what can be read of a damaged secrets file: the master key in it may be the only one of a database."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from meshproxy_cli.configedit.atomic import locked, write_atomic
from meshproxy_cli.settings.secretfile import (
    Document,
    Record,
    SecretsFileError,
    damaged,
    parse_record,
    read_document,
    write_document,
)

_RECORD = re.compile(r'("(?:[^"\\]|\\.)+")\s*:\s*(\{[^{}]*\})')
_BACKEND = re.compile(r'"backend"\s*:\s*"([\w.]+)"')
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Repair:
    """What was saved, by name, and where the damaged file lies now."""

    names: tuple[str, ...]
    copy: Path


def repair(path: Path) -> Repair | None:
    """Write the file again with every secret that stands in it whole; None where nothing is wrong with it.

    The damaged file is kept beside it, as private as it was. Raises `SecretsFileError` for one that can't be read.
    """
    with locked(path):
        try:
            read_document(path)
        except SecretsFileError as problem:
            if not damaged(problem):
                raise
        else:
            return None
        content = path.read_bytes()
        copy = _free_name(path)
        write_atomic(copy, content, mode=_PRIVATE)
        document = salvage(content.decode("utf-8", "replace"))
        write_document(path, document)
        return Repair(tuple(sorted(document.records)), copy)


def salvage(text: str) -> Document:
    """Return the records that stand whole in a damaged document, whatever is around them."""
    records = {}
    for match in _RECORD.finditer(text):
        name, record = _read(match[1], match[2])
        if record is not None:
            records[name] = record
    backend = _BACKEND.search(text)
    return Document(records, backend[1] if backend else None)


def _read(name: str, content: str) -> tuple[str, Record | None]:
    try:
        return str(json.loads(name)), parse_record(json.loads(content))
    except (ValueError, KeyError, TypeError):
        return "", None


def _free_name(path: Path) -> Path:
    number = 1
    while (copy := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return copy
