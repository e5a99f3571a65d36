"""Looks at the SQLite database of this machine's server; a PostgreSQL that is away shows in the server's health."""

import sqlite3
from pathlib import Path
from urllib.parse import quote, urlsplit

from meshproxy_cli.doctor.check import Outcome, bad, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.server import lives
from meshproxy_cli.settings.runtime import read_runtime

_SQLITE = "sqlite:///"
_VARIABLE = "MESHPROXY_DATABASE_URL"
_LIMIT_S = 2.0
_BACKUP = "put a backup in its place where there is one (docs/hosting.md); without one, keys and usage begin again"


def database(scene: DoctorContext) -> Outcome:
    """See whether the file is there and a database."""
    if scene.server.local and (served := _served_elsewhere(scene)):
        return bad(
            f"{_VARIABLE} names another database than the one of the running server, {served}", f"unset {_VARIABLE}"
        )
    path = _path(scene)
    if path is None:
        return good("")
    if not path.exists():
        return good(f"{path} is not there yet")
    try:
        found = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_LIMIT_S)
        try:
            found.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            found.close()
    except sqlite3.OperationalError as problem:
        return bad(f"{path} can't be opened ({problem})", f'sudo chown "$(id -u)" {quoted(path)}*')
    except sqlite3.DatabaseError as problem:
        aside = quoted(path.parent / "damaged")
        return bad(f"{path} is damaged ({problem})", f"mkdir -p {aside} && mv {quoted(path)}* {aside}", advice=_BACKUP)
    return good(f"{path}, {path.stat().st_size // 1024:,} KiB")


def _served_elsewhere(scene: DoctorContext) -> str:
    """Return the database of the server that runs, where this shell's variable names another one; else ""."""
    chosen, runtime = scene.environ.get(_VARIABLE), read_runtime(scene.paths)
    if not chosen or runtime is None or not lives(runtime.pid) or place_of(chosen) == place_of(runtime.database_url):
        return ""
    return runtime.database_url


def place_of(url: str) -> tuple[str, str | None, str]:
    """Return what tells databases apart; user and password don't."""
    parts = urlsplit(url)
    return parts.scheme.partition("+")[0], parts.hostname, parts.path


def _path(scene: DoctorContext) -> Path | None:
    """Return the database's file; None for a server of others, or on PostgreSQL."""
    if not scene.server.local:
        return None
    runtime = read_runtime(scene.paths)
    url = scene.environ.get(_VARIABLE) or (runtime.database_url if runtime is not None else "")
    if not url:
        return scene.paths.database
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
