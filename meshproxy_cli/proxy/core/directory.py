"""What a worker knows about API keys and rooms: one value in memory, replaced whole when the store has changed."""

from dataclasses import dataclass, field

from meshproxy_cli.store.base import Store
from meshproxy_cli.store.records import Limit, Room, SigningKey


@dataclass(frozen=True, slots=True)
class Directory:
    """Signing keys by id, configured rooms by project and name, and limits."""

    keys: dict[str, SigningKey] = field(default_factory=dict)
    rooms: dict[tuple[str, str], Room] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()

    def key(self, key_id: str) -> SigningKey | None:
        """Return the API key of that id, revoked or not, or None."""
        return self.keys.get(key_id)

    def room(self, project_id: str, name: str) -> Room | None:
        """Return the configured room, or None; a room needs no configuration unless the server is strict."""
        return self.rooms.get((project_id, name))


def read_directory(store: Store) -> Directory:
    """Read everything from the store; blocks. Raises `StoreUnavailableError`."""
    keys = {key.id: key for key in store.signing_keys()}
    rooms = {
        (project.id, room.name): room for project in store.projects() for room in store.rooms(project.id)
    }  # fmt: skip
    return Directory(keys=keys, rooms=rooms, limits=store.limits())
