"""Slots in documents: read a key's value, set it, restore it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshproxy_cli.configedit.desired import Setting, Slot
from meshproxy_cli.configedit.formats.document import Change, Document, KeyPath, Raw, lookup


@dataclass(frozen=True, slots=True)
class PreviousValue:
    """What a slot held before us: the text of its value (`raw`; for a header its line), or nothing."""

    slot: Slot
    raw: str | None
    created: tuple[KeyPath, ...] = ()  # what around it did not exist, innermost first


def digest(value: Any) -> str:  # noqa: ANN401 (any value of a format)
    """Return a hash that is the same for the same value, however it is written."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=repr).encode()).hexdigest()


def value_of(document: Document, slot: Slot) -> Any:  # noqa: ANN401 (any value of a format)
    """Return what the slot holds, or None."""
    found = lookup(document.plain(), slot.path)
    if slot.header is None:
        return found
    return header_value(found, slot.header)


def before(document: Document, slot: Slot) -> PreviousValue:
    """Return what a slot holds, so that it can be restored."""
    last = len(slot.path) - (slot.header is None)
    missing = [slot.path[:end] for end in range(last, 0, -1)]
    values = document.plain()
    created = tuple(path for path in missing if lookup(values, path) is None)
    if slot.header is None:
        return PreviousValue(slot, document.raw(slot.path), created)
    return PreviousValue(slot, header_line(lookup(values, slot.path), slot.header), created)


def put(document: Document, settings: Sequence[Setting]) -> None:
    """Set every slot to its desired value."""
    changes: list[Change] = []
    for setting in settings:
        slot, value = setting.slot, setting.value
        if value is None or value_of(document, slot) == value:
            continue
        if slot.header is not None:
            value = with_header(lookup(document.plain(), slot.path), slot.header, str(value))
        changes.append(Change(slot.path, value))
    if changes:
        document.put(changes)
    for setting in settings:
        if setting.value is None:
            _remove(document, setting.slot.path)


def _remove(document: Document, path: KeyPath) -> None:
    document.drop(path)
    # An empty table is a leaf too: then the path itself is what has to go.
    for end in range(len(path), 0, -1):
        document.prune(path[:end])


def restore(document: Document, held: PreviousValue) -> None:
    """Set a slot to its previous value."""
    if held.slot.header is not None:
        _restore_header(document, held, held.slot.header)
    elif held.raw is None:
        document.drop(held.slot.path)
    else:
        document.put([Change(held.slot.path, Raw(held.raw))])
    for path in held.created:
        document.prune(path)


def _restore_header(document: Document, held: PreviousValue, header: str) -> None:
    text = _with_line(lookup(document.plain(), held.slot.path), header, held.raw)
    if text or held.slot.path not in held.created:
        document.put([Change(held.slot.path, text)])
    else:
        document.drop(held.slot.path)


def header_value(text: Any, header: str) -> str | None:  # noqa: ANN401 (what the file holds)
    """Return the value of `header` in lines of "Name: value"."""
    line = header_line(text, header)
    return None if line is None else line.partition(":")[2].strip()


def header_line(text: Any, header: str) -> str | None:  # noqa: ANN401 (what the file holds)
    """Return the first line of `header`, as it stands."""
    lines = text.splitlines() if isinstance(text, str) else []
    return next((line for line in lines if _names(line, header)), None)


def with_header(text: Any, header: str, value: str | None) -> str:  # noqa: ANN401 (what the file holds)
    """Return the lines of `text` with `header` set to `value` (None removes it); all other lines stay."""
    return _with_line(text, header, None if value is None else f"{header}: {value}")


def _with_line(text: Any, header: str, ours: str | None) -> str:  # noqa: ANN401 (what the file holds)
    pending = [] if ours is None else [ours]
    kept: list[str] = []
    for line in text.splitlines() if isinstance(text, str) else []:
        if _names(line, header):
            kept += pending
            pending = []
        else:
            kept.append(line)
    return "\n".join([*kept, *pending])


def _names(line: str, header: str) -> bool:
    name, colon, _ = line.partition(":")
    return bool(colon) and name.strip().lower() == header.lower()
