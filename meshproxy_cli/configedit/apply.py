"""Apply a plan: check that files are as shown, back them up once, write each as a whole, keep a receipt."""

import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from meshproxy_cli.configedit import files
from meshproxy_cli.configedit.atomic import locked, write_atomic
from meshproxy_cli.configedit.files import FileRefusedError
from meshproxy_cli.configedit.plan import FileEdit, Plan
from meshproxy_cli.configedit.receipts import FileRecord, Receipt, Write, file_hash, save
from meshproxy_cli.configedit.undo import UndoPlan

_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class ApplyContext:
    """Where receipts are stored, the time (Unix seconds, and as used in names of backups), and how to write."""

    receipts: Path
    now: int
    stamp: str
    write: Write = write_atomic


def apply(plan: Plan, context: ApplyContext) -> Receipt:
    """Write a plan. Raises `FileRefusedError` before anything is written if a file is not as it was shown.

    Order matters for a crash: backups, then the receipt, then the files. So whatever was written can be undone.
    """
    with locked(context.receipts / "receipts"):
        _require_unchanged(plan.edits)
        receipt = _receipt(plan, context)
        for edit, record in zip(plan.edits, receipt.files, strict=True):
            _back_up(edit, record, context)
        save(context.receipts, receipt, context.write)
        for edit in plan.edits:
            if edit.changes:
                _write(edit, context)
                plan.files.written(edit.path, edit.after)
    return receipt


def undo(plan: UndoPlan, context: ApplyContext) -> None:
    """Write an undo and remove the backups of files that are exactly as before. Raises `FileRefusedError`."""
    with locked(context.receipts / "receipts"):
        _require_unchanged(tuple(item.edit for item in plan.files))
        for item in plan.files:
            if item.edit.changes:
                _write(item.edit, context)
            _clean_up(item.record, exact=item.exact)
        (context.receipts / plan.receipt.name).unlink(missing_ok=True)


def _require_unchanged(edits: tuple[FileEdit, ...]) -> None:
    for edit in edits:
        if files.read(edit.path) != edit.before:
            raise FileRefusedError(
                f"{edit.path} was changed after the preview by another program; nothing was written",
                hint="run the command again to see the new preview",
            )


def _receipt(plan: Plan, context: ApplyContext) -> Receipt:
    return Receipt(
        **asdict(plan.request),
        place=str(plan.place),
        written_at=context.now,
        files=tuple(_record(edit, context) for edit in plan.edits),
    )


def _record(edit: FileEdit, context: ApplyContext) -> FileRecord:
    earlier = edit.record
    if earlier is not None and not edit.changes and edit.keys == earlier.keys:
        return earlier
    backups = earlier.backups if earlier else ()
    if edit.base is not None and edit.changes and (earlier is None or earlier.before != file_hash(edit.base)):
        backups = (*backups, _backup_path(edit.path, context.stamp))
    return FileRecord(
        path=edit.path,
        format=edit.format,
        before=file_hash(edit.base),
        after=file_hash(edit.after) or "",
        keys=edit.keys,
        replaced=file_hash(edit.before),
        backups=backups,
        mode=earlier.mode if earlier else _mode_to_restore(edit),
        created_directories=earlier.created_directories if earlier else files.missing_directories(edit.path),
    )


def _backup_path(path: Path, stamp: str) -> Path:
    base = path.with_name(f"{path.name}.meshproxy-backup-{stamp}")
    chosen, number = base, 1
    while chosen.exists():
        number += 1
        chosen = base.with_name(f"{base.name}-{number}")
    return chosen


def _mode_to_restore(edit: FileEdit) -> int | None:
    if not edit.private or edit.before is None:
        return None
    mode = stat.S_IMODE(edit.path.stat().st_mode)
    return mode if mode != _PRIVATE else None


def _back_up(edit: FileEdit, record: FileRecord, context: ApplyContext) -> None:
    """Keep the bytes from before beside the file, for its owner alone."""
    known = edit.record.backups if edit.record else ()
    if edit.base is not None and record.backups != known:
        context.write(record.backups[-1], edit.base, mode=_PRIVATE)


def _write(edit: FileEdit, context: ApplyContext) -> None:
    if edit.after is None:
        # A link to a file that we made stays, as it was before us.
        Path(os.path.realpath(edit.path)).unlink(missing_ok=True)
        return
    if edit.private and edit.before is not None:
        edit.path.chmod(_PRIVATE)
    context.write(edit.path, edit.after, mode=edit.mode)


def _clean_up(record: FileRecord, *, exact: bool) -> None:
    if not exact:
        return
    if record.mode is not None and record.path.exists():
        record.path.chmod(record.mode)
    for backup in record.backups:
        backup.unlink(missing_ok=True)
    for directory in record.created_directories:
        _remove_if_empty(directory)


def _remove_if_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except OSError:
        # Somebody else keeps something there.
        return
