"""Taking back what a receipt remembers, as a plan to be shown before it is applied."""

from dataclasses import dataclass

from meshproxy_cli.agents.base import Slot
from meshproxy_cli.configedit import files
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.plan import FileEdit
from meshproxy_cli.configedit.receipts import FileRecord, Receipt
from meshproxy_cli.configedit.restore import restored


@dataclass(frozen=True, slots=True)
class FileUndo:
    """The edit that takes us out of one file; `left` are keys that somebody changed since and that stay."""

    edit: FileEdit
    record: FileRecord
    left: tuple[Slot, ...]
    exact: bool


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """All of one receipt, taken back."""

    receipt: Receipt
    files: tuple[FileUndo, ...]


def make_undo(receipt: Receipt) -> UndoPlan:
    """Plan how to take a receipt back; nothing is written. Raises `FormatError` or `FileRefusedError`."""
    return UndoPlan(receipt, tuple(_file(record) for record in reversed(receipt.files)))


def _file(record: FileRecord) -> FileUndo:
    current = files.read(record.path)
    try:
        result = restored(record, current)
    except FormatError as problem:
        raise FormatError(
            f"{record.path} can't be edited: {problem.message}; nothing was changed",
            hint=f"mend the file and try again{_backup_hint(record)}",
        ) from None
    edit = FileEdit(record.path, record.format, current, result.data, result.data, record=record)
    if edit.changes:
        files.require_writable(record.path)
    return FileUndo(edit, record, result.left, result.exact)


def _backup_hint(record: FileRecord) -> str:
    return f"; as it was before us it lies in {record.backups[-1]}" if record.backups else ""
