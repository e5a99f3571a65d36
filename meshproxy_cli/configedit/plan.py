"""An edit as data: file, before, after, owned keys. It is made and checked first, shown, and only then applied."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import FileWish, Format, Setting, Slot, Target, Wish
from meshproxy_cli.configedit import files, slots
from meshproxy_cli.configedit.formats.document import Document, FormatError, KeyPath, lookup
from meshproxy_cli.configedit.formats.opening import open_document
from meshproxy_cli.configedit.receipts import FileRecord, KeyRecord, Receipt
from meshproxy_cli.configedit.restore import restored
from meshproxy_cli.errors import ConflictError


class OwnedByOtherError(ConflictError):
    """A key under our name was not written by us."""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """A file now (`before`), then (`after`), and how it is without us (`base`); None where there is no file."""

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
    """All edits of one `configure`, to be shown before they are applied."""

    agent: str
    target: Target
    place: Path
    edits: tuple[FileEdit, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try_it: str = ""
    receipt: Receipt | None = None  # of an earlier run

    @property
    def changes(self) -> bool:
        """Whether anything is to be written."""
        return any(edit.changes for edit in self.edits)


def make_plan(agent: str, target: Target, wish: Wish, receipt: Receipt | None) -> Plan:
    """Turn a wish into edits that were parsed and checked; nothing is written.

    Raises `FormatError`, `FileRefusedError` or `OwnedByOtherError` where a file can't be edited safely.
    """
    records = {record.path: record for record in (receipt.files if receipt else ())}
    wishes = {one.path: one for one in wish.files}
    # What lasts of files that this run does not ask for; the rest of them is given back.
    more = [_lasting(FileWish(path, Format(record.format), ()), record) for path, record in records.items()]
    for one in more:
        if one.settings:
            wishes.setdefault(one.path, one)
    edits = [_edit(agent, one, records.get(one.path)) for one in wishes.values()]
    edits += [_withdrawal(record) for record in records.values() if record.path not in wishes]
    return Plan(agent, target, wish.files[0].path, tuple(edits), wish.notes, wish.warnings, wish.try_it, receipt)


def _lasting(wish: FileWish, record: FileRecord | None) -> FileWish:
    """Add what an earlier run settled for good: keys that it took away stay away, those it moved stay as they are."""
    kept = [key for key in (record.keys if record else ()) if key.lasting]
    wished = {setting.slot for setting in wish.settings}
    if all(key.before.slot in wished for key in kept):
        return wish
    now = open_document(wish.format, files.read(wish.path) or b"")
    values = [(key, slots.value_of(now, key.before.slot)) for key in kept if key.before.slot not in wished]
    settings = [
        Setting(key.before.slot, None if key.written is None else value, lasting=True)
        for key, value in values
        if key.written is None or value is not None
    ]
    return replace(wish, settings=(*wish.settings, *settings))


def _edit(agent: str, wish: FileWish, record: FileRecord | None) -> FileEdit:
    current = files.read(wish.path)
    try:
        base, after, keys = _contents(agent, wish, record, current)
    except FormatError as problem:
        raise FormatError(
            f"{wish.path} can't be edited: {problem.message}; nothing was changed",
            hint="mend the file, or add the snippet by hand: the same command with --print",
        ) from None
    edit = FileEdit(wish.path, wish.format, current, after, base, keys, wish.mode, wish.private, record)
    if edit.changes:
        files.require_writable(wish.path)
    return edit


def _contents(
    agent: str, wish: FileWish, record: FileRecord | None, current: bytes | None
) -> tuple[bytes | None, bytes, tuple[KeyRecord, ...]]:
    now = open_document(wish.format, current or b"")
    wish = _lasting(wish, record)
    if record is not None and _is_done(now, wish, record):
        return current, current or b"", record.keys
    ours = tuple(setting.slot for setting in wish.settings)
    base = restored(record, current, force=ours).data if record is not None else current
    document = open_document(wish.format, base or b"")
    pristine = document.plain()
    comments = document.comments()
    _refuse_foreign(agent, wish, document)
    keys = tuple(KeyRecord(slots.before(document, one.slot), _written(one), one.lasting) for one in wish.settings)
    slots.put(document, wish.settings)
    after = document.render()
    check(wish, open_document(wish.format, after), pristine, comments)
    return base, after, keys


def _is_done(document: Document, wish: FileWish, record: FileRecord) -> bool:
    """Whether every key holds what it shall, and nothing that we wrote earlier is in excess."""
    mine = {key.before.slot for key in record.keys}
    return mine == {setting.slot for setting in wish.settings} and all(
        slots.value_of(document, setting.slot) == setting.value for setting in wish.settings
    )


def _withdrawal(record: FileRecord) -> FileEdit:
    """Return the edit for a file that an earlier run needed and this one does not."""
    current = files.read(record.path)
    base = restored(record, current).data
    edit = FileEdit(record.path, record.format, current, base, base, record=record)
    if edit.changes:
        files.require_writable(record.path)
    return edit


def _written(setting: Setting) -> str | None:
    return None if setting.value is None else slots.digest(setting.value)


def _refuse_foreign(agent: str, wish: FileWish, document: Document) -> None:
    for claim in wish.claims:
        theirs = lookup(document.plain(), claim)
        if theirs is None or theirs == _wanted_below(wish, claim):
            continue
        name = ".".join(claim)
        raise OwnedByOtherError(
            f"{wish.path} has a `{name}` already that meshproxy did not write; nothing was changed",
            hint=f"choose another name: meshproxy configure {agent} --profile NAME, or remove `{name}`",
        )


def _wanted_below(wish: FileWish, claim: KeyPath) -> Any:  # noqa: ANN401 (any value of a format)
    wanted: dict[str, Any] = {}
    for setting in wish.settings:
        if setting.slot.path[: len(claim)] == claim and setting.value is not None:
            place = wanted
            for key in setting.slot.path[:-1]:
                place = place.setdefault(key, {})
            place[setting.slot.path[-1]] = setting.value
    return lookup(wanted, claim)


def check(wish: FileWish, after: Document, pristine: Mapping[str, Any], comments: Sequence[str]) -> None:
    """Make sure that the new text holds what it shall, all that is not ours as it was, and every comment.

    Raises `FormatError`: the edit is given up rather than written.
    """
    for setting in wish.settings:
        if slots.value_of(after, setting.slot) != setting.value:
            raise FormatError(f"`{'.'.join(setting.slot.path)}` could not be set in it")
    owned = [setting.slot for setting in wish.settings]
    if slots.digest(without(after.plain(), owned)) != slots.digest(without(pristine, owned)):
        raise FormatError("the edit would have changed other settings in it")
    remaining = iter(after.comments())
    if not all(comment in remaining for comment in comments):
        raise FormatError("the edit would have lost a comment in it")


def without(values: Mapping[str, Any], owned: Sequence[Slot]) -> dict[str, Any]:
    """Return the values that are not ours; tables that hold nothing else are left out."""
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
            for parent, key in zip(reversed(parents[:-1]), reversed(slot.path[:-1]), strict=True):
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
