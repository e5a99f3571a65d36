"""Undo what a receipt remembers: a plan, to be shown before it is applied."""

from dataclasses import dataclass

from meshproxy_cli.configedit.desired import Slot
from meshproxy_cli.configedit.files import Files, require_writable
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.plan import FileEdit
from meshproxy_cli.configedit.receipts import FileRecord, Receipt
from meshproxy_cli.configedit.restore import restored


@dataclass(frozen=True, slots=True)
class FileUndo:
    """The edit that removes our settings from one file; `left` are keys that somebody changed since and that stay."""

    edit: FileEdit
    record: FileRecord
    left: tuple[Slot, ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """All edits that undo one receipt."""

    receipt: Receipt
    files: tuple[FileUndo, ...]


def make_undo(receipt: Receipt) -> UndoPlan:
    """Plan how to undo a receipt; nothing is written. Raises `FormatError` or `FileRefusedError`."""
    return UndoPlan(receipt, tuple(_file(record) for record in reversed(receipt.files)))


def _file(record: FileRecord) -> FileUndo:
    files = Files()
    current = files.read(record.path)
    try:
        result = restored(record, files)
    except FormatError as problem:
        raise FormatError(
            f"{record.path} can't be edited: {problem.message}; nothing was changed",
            hint=f"fix the file and try again{_backup_hint(record)}",
        ) from None
    edit = FileEdit(record.path, record.format, current, result.data, result.data, record=record)
    if edit.changes:
        require_writable(record.path)
    return FileUndo(edit, record, result.left, result.exact)


def _backup_hint(record: FileRecord) -> str:
    return f"; the file before our changes is {record.backups[-1]}" if record.backups else ""
