"""From a file as it is now to the file without us."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshproxy_cli.agents.base import Slot
from meshproxy_cli.configedit import files, slots
from meshproxy_cli.configedit.formats.document import Document
from meshproxy_cli.configedit.formats.opening import open_document
from meshproxy_cli.configedit.receipts import FileRecord, KeyRecord, file_hash


@dataclass(frozen=True, slots=True)
class Restored:
    """The bytes without us (None: no file), and the keys that were left because somebody changed them since."""

    data: bytes | None
    left: tuple[Slot, ...] = ()
    exact: bool = True  # byte for byte the file from before


def restored(record: FileRecord, current: bytes | None, *, force: Sequence[Slot] = ()) -> Restored:
    """Return the file without us.

    If nobody else changed it, these are its bytes from before. Else only the keys that still are as we wrote them
    (and those in `force`) get their earlier value. Raises `FormatError` if the file does not parse.
    """
    if current is None or file_hash(current) == record.before:
        return Restored(current)
    if file_hash(current) in {record.after, record.replaced}:
        if record.before is None:
            return Restored(None)
        original = _backup(record)
        if original is not None:
            return Restored(original)
    return _key_by_key(record, current, force)


def _backup(record: FileRecord) -> bytes | None:
    """Return the bytes from before, if the backup is still there and still is what it was."""
    if not record.backups:
        return None
    data = files.read(record.backups[-1])
    return data if file_hash(data) == record.before else None


def _key_by_key(record: FileRecord, current: bytes, force: Sequence[Slot]) -> Restored:
    document = open_document(record.format, current)
    left = []
    for key in reversed(record.keys):
        if _is_ours(document, key) or key.before.slot in force:
            slots.give_back(document, key.before)
        elif slots.value_of(document, key.before.slot) is not None:
            left.append(key.before.slot)
    data = document.render()
    open_document(record.format, data)
    if record.before is None and not document.plain() and not document.comments():
        return Restored(None, tuple(left), exact=False)
    return Restored(data, tuple(left), exact=False)


def _is_ours(document: Document, key: KeyRecord) -> bool:
    value = slots.value_of(document, key.before.slot)
    return value is None if key.written is None else value is not None and slots.digest(value) == key.written
