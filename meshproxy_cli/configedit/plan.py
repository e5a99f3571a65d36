"""An edit as data: file, before, after, owned keys. It is made and checked first, shown, and only then applied."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshproxy_cli.configedit import slots
from meshproxy_cli.configedit.desired import DesiredConfig, DesiredFile, Format, Setting, Slot
from meshproxy_cli.configedit.files import Files, require_writable
from meshproxy_cli.configedit.formats.document import Document, FormatError, KeyPath, lookup
from meshproxy_cli.configedit.formats.opening import open_document
from meshproxy_cli.configedit.receipts import FileRecord, KeyRecord, Receipt, Request
from meshproxy_cli.configedit.restore import restored
from meshproxy_cli.errors import ConflictError


class OwnedByOtherError(ConflictError):
    """A key under our name was not written by us."""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """A file now (`before`), then (`after`), and without our settings (`base`); None means no file."""

    path: Path
    format: str
    before: bytes | None
    after: bytes | None
    base: bytes | None
    keys: tuple[KeyRecord, ...] = ()
    mode: int = 0o600
    private: bool = False
    record: FileRecord | None = None  # of an earlier run

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Plan:
    """All edits for one request, to be shown before they are applied."""

    request: Request
    place: Path
    edits: tuple[FileEdit, ...]
    files: Files
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try_it: str = ""
    receipt: Receipt | None = None  # of an earlier run

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return any(edit.changes for edit in self.edits)


def make_plan(request: Request, config: DesiredConfig, receipt: Receipt | None, files: Files) -> Plan:
    """Turn a desired configuration into edits that were parsed and checked; nothing is written.

    Raises `FormatError`, `FileRefusedError` or `OwnedByOtherError` if a file can't be edited safely.
    """
    records = {record.path: record for record in (receipt.files if receipt else ())}
    desired = {one.path: one for one in config.files}
    # What lasts of files that this run does not ask for; the rest of them is restored.
    more = [_lasting(DesiredFile(path, Format(record.format), ()), record, files) for path, record in records.items()]
    for one in more:
        if one.settings:
            desired.setdefault(one.path, one)
    edits = [_edit(request, one, records.get(one.path), files) for one in desired.values()]
    edits += [_withdrawal(record, files) for record in records.values() if record.path not in desired]
    place = config.files[0].path
    return Plan(request, place, tuple(edits), files, config.notes, config.warnings, config.try_it, receipt)


def _lasting(desired: DesiredFile, record: FileRecord | None, files: Files) -> DesiredFile:
    """Add what an earlier run settled for good: keys that it removed stay away, those it moved stay as they are."""
    kept = [key for key in (record.keys if record else ()) if key.lasting]
    wanted = {setting.slot for setting in desired.settings}
    if all(key.before.slot in wanted for key in kept):
        return desired
    now = files.document(desired.path, desired.format)
    values = [(key, slots.value_of(now, key.before.slot)) for key in kept if key.before.slot not in wanted]
    settings = [
        Setting(key.before.slot, None if key.written is None else value, lasting=True)
        for key, value in values
        if key.written is None or value is not None
    ]
    return replace(desired, settings=(*desired.settings, *settings))


def _edit(request: Request, desired: DesiredFile, record: FileRecord | None, files: Files) -> FileEdit:
    current = files.read(desired.path)
    try:
        base, after, keys = _contents(request, desired, record, files)
    except FormatError as problem:
        raise FormatError(
            f"{desired.path} can't be edited: {problem.message}; nothing was changed",
            hint="fix the file, or add the snippet by hand: the same command with --print",
        ) from None
    edit = FileEdit(desired.path, desired.format, current, after, base, keys, desired.mode, desired.private, record)
    if edit.changes:
        require_writable(desired.path)
    return edit


def _contents(
    request: Request, desired: DesiredFile, record: FileRecord | None, files: Files
) -> tuple[bytes | None, bytes, tuple[KeyRecord, ...]]:
    current = files.read(desired.path)
    document = files.document(desired.path, desired.format)
    desired = _lasting(desired, record, files)
    base = current
    if record is not None:
        if _is_done(document, desired, record):
            return current, current or b"", record.keys
        without_us = restored(record, files, force=[setting.slot for setting in desired.settings])
        base = without_us.data
        if base != current:
            document = without_us.document or open_document(desired.format, base or b"")
    pristine = document.plain()
    comments = document.comments()
    _refuse_foreign(request, desired, document)
    keys = tuple(KeyRecord(slots.before(document, one.slot), _written(one), one.lasting) for one in desired.settings)
    slots.put(document, desired.settings)
    after = document.render()
    check(desired, document, pristine, comments)
    return base, after, keys


def _is_done(document: Document, desired: DesiredFile, record: FileRecord) -> bool:
    """Whether every key has its desired value, and nothing that we wrote earlier is left over."""
    mine = {key.before.slot for key in record.keys}
    return mine == {setting.slot for setting in desired.settings} and all(
        slots.value_of(document, setting.slot) == setting.value for setting in desired.settings
    )


def _withdrawal(record: FileRecord, files: Files) -> FileEdit:
    """Return the edit for a file that an earlier run needed and this one does not."""
    current = files.read(record.path)
    base = restored(record, files).data
    edit = FileEdit(record.path, record.format, current, base, base, record=record)
    if edit.changes:
        require_writable(record.path)
    return edit


def _written(setting: Setting) -> str | None:
    return None if setting.value is None else slots.digest(setting.value)


def _refuse_foreign(request: Request, desired: DesiredFile, document: Document) -> None:
    for claim in desired.claims:
        theirs = lookup(document.plain(), claim)
        if _is_empty(theirs) or theirs == _wanted_below(desired, claim):
            continue
        name = ".".join(claim)
        raise OwnedByOtherError(
            f"{desired.path} already has a `{name}` that meshproxy did not write; nothing was changed",
            hint=f"choose another name: meshproxy configure {request.agent} --profile NAME, or remove `{name}`",
        )


def _is_empty(value: Any) -> bool:  # noqa: ANN401 (any value of a format)
    """Whether nothing is there, or only tables that are empty themselves."""
    return value is None or (isinstance(value, Mapping) and all(_is_empty(inner) for inner in value.values()))


def _wanted_below(desired: DesiredFile, claim: KeyPath) -> Any:  # noqa: ANN401 (any value of a format)
    wanted: dict[str, Any] = {}
    for setting in desired.settings:
        if setting.slot.path[: len(claim)] == claim and setting.value is not None:
            place = wanted
            for key in setting.slot.path[:-1]:
                place = place.setdefault(key, {})
            place[setting.slot.path[-1]] = setting.value
    return lookup(wanted, claim)


def check(desired: DesiredFile, after: Document, pristine: Mapping[str, Any], comments: Sequence[str]) -> None:
    """Check that the new text has the desired values, everything that is not ours as it was, and every comment.

    Raises `FormatError`: the edit is given up rather than written.
    """
    for setting in desired.settings:
        if slots.value_of(after, setting.slot) != setting.value:
            raise FormatError(f"`{'.'.join(setting.slot.path)}` could not be set in it")
    owned = [setting.slot for setting in desired.settings]
    if slots.digest(without(after.plain(), owned)) != slots.digest(without(pristine, owned)):
        raise FormatError("the edit would have changed other settings in it")
    remaining = iter(after.comments())
    if not all(comment in remaining for comment in comments):
        raise FormatError("the edit would have lost a comment in it")


def without(values: Mapping[str, Any], owned: Sequence[Slot]) -> dict[str, Any]:
    """Return the values that are not ours; tables on the way to ours that hold nothing else are left out."""
    rest = deepcopy(dict(values))
    for slot in owned:
        parents = [rest]
        for key in slot.path[:-1]:
            inner = parents[-1].get(key)
            if not isinstance(inner, dict):
                break
            parents.append(inner)
        else:
            _take_out(parents[-1], slot)
        for parent, key in reversed(list(zip(parents, slot.path, strict=False))[: len(parents) - 1]):
            if not parent[key]:
                del parent[key]
    return rest


def _take_out(table: dict[str, Any], slot: Slot) -> None:
    key = slot.path[-1]
    if slot.header is None:
        table.pop(key, None)
    elif isinstance(table.get(key), str):
        table[key] = slots.with_header(table[key], slot.header, None)
        if not table[key]:
            del table[key]
