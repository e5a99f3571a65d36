"""Looks at the SQLite database of this machine's server; a PostgreSQL that is away shows in the server's health."""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from meshproxy_cli.doctor.check import Outcome, bad, good, quoted
from meshproxy_cli.doctor.scene import Scene
from meshproxy_cli.settings.runtime import read_runtime

_SQLITE = "sqlite:///"
_LIMIT_S = 2.0
_BACKUP = "put a backup in its place where there is one (docs/hosting.md); without one, keys and usage begin anew"


def database(scene: Scene) -> Outcome:
    """See whether the file is there and a database."""
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


def _path(scene: Scene) -> Path | None:
    """Return the database's file; None for a server of others, or on PostgreSQL."""
    if not scene.server.local:
        return None
    runtime = read_runtime(scene.paths)
    url = scene.environ.get("MESHPROXY_DATABASE_URL") or (runtime.database_url if runtime is not None else "")
    if not url:
        return scene.paths.database
    return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None
