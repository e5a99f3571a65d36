"""From a file as it is now to the file without our settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from meshproxy_cli.configedit import slots
from meshproxy_cli.configedit.desired import Slot
from meshproxy_cli.configedit.files import Files
from meshproxy_cli.configedit.formats.document import Document
from meshproxy_cli.configedit.receipts import FileRecord, KeyRecord, file_hash


@dataclass(frozen=True, slots=True)
class Restored:
    """The bytes without our settings (None: no file), and the keys that stay because somebody changed them since.

    `document` is set if the bytes are parsed already.
    """

    data: bytes | None
    left: tuple[Slot, ...] = ()
    exact: bool = True  # byte for byte the file from before
    document: Document | None = None


def restored(record: FileRecord, files: Files, *, force: Sequence[Slot] = ()) -> Restored:
    """Return the file without our settings.

    If nobody else changed it, these are its bytes from before. Else only the keys that still are as we wrote them
    (and those in `force`) get their earlier value. Raises `FormatError` if the file does not parse.
    """
    current = files.read(record.path)
    if current is None or file_hash(current) == record.before:
        return Restored(current)
    if file_hash(current) in {record.after, record.replaced}:
        if record.before is None:
            return Restored(None)
        original = _backup(record, files)
        if original is not None:
            return Restored(original)
    return _key_by_key(record, files.document(record.path, record.format), force)


def _backup(record: FileRecord, files: Files) -> bytes | None:
    """Return the bytes from before, if the backup is still there and still is what it was."""
    if not record.backups:
        return None
    data = files.read(record.backups[-1])
    return data if file_hash(data) == record.before else None


def _key_by_key(record: FileRecord, document: Document, force: Sequence[Slot]) -> Restored:
    left = []
    for key in reversed(record.keys):
        if _is_ours(document, key) or key.before.slot in force:
            slots.restore(document, key.before)
        elif slots.value_of(document, key.before.slot) is not None:
            left.append(key.before.slot)
    if record.before is None and not document.plain() and not document.comments():
        return Restored(None, tuple(left), exact=False)
    return Restored(document.render(), tuple(left), exact=False, document=document)


def _is_ours(document: Document, key: KeyRecord) -> bool:
    value = slots.value_of(document, key.before.slot)
    return value is None if key.written is None else value is not None and slots.digest(value) == key.written
