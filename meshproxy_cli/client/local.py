"""The server of this machine: its store, whether `meshproxy serve` runs or not."""

import getpass
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import Actor, Project

if TYPE_CHECKING:
    from meshproxy_cli.client.base import AccessTokens, Audit, Events, Keys, Limits, Rooms, Usage
    from meshproxy_cli.store.engine.vault import KeyLoader

ORIGIN = "local"
_STALE_S = 10.0


class LocalClient:
    """`ServerClient` on the store itself. Changes are entered in the audit log under the name of the OS user."""

    def __init__(
        self,
        store_url: str,
        project_name: str,
        server_url: str,
        master_key: bytes | Sequence[bytes] | None,
        *,
        load_master_keys: "KeyLoader | None" = None,
        workers_dir: Path | None = None,
    ) -> None:
        """Open the store; in `workers_dir` the workers of a running server write their counters every second."""
        store = open_store(store_url, master_key=master_key, load_master_keys=load_master_keys)
        self._store = store = store.acting_as(this_user())
        self.keys: Keys = store.keys
        self.rooms: Rooms = store.rooms
        self.limits: Limits = store.limits
        self.events: Events = store.events
        self.usage: Usage = store.usage
        self.access_tokens: AccessTokens = store.access_tokens
        self.audit: Audit = store.audit
        self._project_name = project_name
        self._project: Project | None = None
        self._workers_dir = workers_dir
        self._url = server_url.rstrip("/")

    @property
    def url(self) -> str:
        """The API's base URL without a trailing slash, such as `http://127.0.0.1:8765`."""
        return self._url

    @property
    def project_id(self) -> str:
        """The id of the project, which is created on first use."""
        return self.project().id

    def project(self) -> Project:
        """Return the project; create it on first use."""
        if self._project is None:
            self._project = self._store.projects.ensure(self._project_name)
        return self._project

    def streams_open(self) -> int | None:
        """Return how many responses the running server is sending; None if none runs."""
        if self._workers_dir is None:
            return None
        found = [snapshot for path in self._workers_dir.glob("*.json") if (snapshot := _fresh(path)) is not None]
        return sum(found) if found else None

    def close(self) -> None:
        """Close the database."""
        self._store.close()


def _fresh(path: Path) -> int | None:
    """Return the streams that a worker has open, or None where its file is damaged or older than `_STALE_S`."""
    try:
        snapshot = json.loads(path.read_bytes())
        return int(snapshot["streams_open"]) if time.time() - snapshot["written_at"] < _STALE_S else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def this_user() -> Actor:
    """Return how the audit log names the user of this machine who runs a command."""
    try:
        return Actor(name=getpass.getuser(), origin=ORIGIN)
    except (KeyError, OSError):  # a container's user without a name
        return Actor(name="unknown", origin=ORIGIN)
