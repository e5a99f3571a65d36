"""What `meshproxy serve` tells the commands of the same user: where it listens and where its data lies."""

import json
from dataclasses import asdict, dataclass

from meshproxy_cli.configedit.atomic import write_atomic
from meshproxy_cli.settings.paths import Paths


@dataclass(frozen=True, slots=True)
class ServerRuntime:
    """The running (or last) server of this user. `started_at` is in Unix seconds; no field holds a secret."""

    url: str
    pid: int
    project_id: str
    database_url: str
    started_at: float


def read_runtime(paths: Paths) -> ServerRuntime | None:
    """Return the running or last server, or None where there was none or its file can't be understood."""
    try:
        found = json.loads(paths.runtime_file.read_bytes())
        return ServerRuntime(
            url=str(found["url"]),
            pid=int(found["pid"]),
            project_id=str(found["project_id"]),
            database_url=str(found["database_url"]),
            started_at=float(found["started_at"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_runtime(paths: Paths, runtime: ServerRuntime) -> None:
    """Say which server runs; the file stays when it ends, so that its database can still be read."""
    write_atomic(paths.runtime_file, json.dumps(asdict(runtime), indent=2).encode() + b"\n")
