"""Whether a file still holds what we wrote."""

from enum import StrEnum

from meshproxy_cli.configedit import slots
from meshproxy_cli.configedit.files import FileRefusedError, Files
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.receipts import FileRecord, KeyRecord, file_hash


class State(StrEnum):
    """What became of our keys in a file."""

    SAME = "as written"
    KEPT = "ours as written, others changed"
    CHANGED = "ours changed"
    GONE = "gone"
    UNREADABLE = "unreadable"


def state_of(record: FileRecord) -> State:
    """Compare a file with its record."""
    files = Files()
    try:
        current = files.read(record.path)
        if current is None:
            return State.GONE
        if file_hash(current) == record.after:
            return State.SAME
        document = files.document(record.path, record.format)
    except (FormatError, FileRefusedError):
        return State.UNREADABLE
    values = [(key, slots.value_of(document, key.before.slot)) for key in record.keys]
    if all(_is_written(key, value) for key, value in values):
        return State.KEPT
    return State.GONE if all(value is None for _, value in values) else State.CHANGED


def _is_written(key: KeyRecord, value: object) -> bool:
    return (None if value is None else slots.digest(value)) == key.written
