"""Names for completion, read beside a store on either engine."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fixtures.store_events import event
from meshproxy_cli.store.errors import StoreUnavailableError
from meshproxy_cli.store.names import NameKind, read_names
from meshproxy_cli.store.records import Project, Role, Room
from meshproxy_cli.store.store import Store


def test_what_exists_and_what_was_used_of_late(store: Store, store_url: str, project: Project) -> None:
    now = datetime.now(UTC)
    store.rooms.put(Room(name="made", project_id=project.id, created_at=now))
    key, gone = store.keys.create(project.id, "laptop"), store.keys.create(project.id, "old")
    store.keys.revoke(project.id, gone.id)
    token, _ = store.access_tokens.create("grafana", Role.VIEWER)
    old = now - timedelta(days=100)
    store.events.add(
        [
            event(1, project_id=project.id, started_at=now, room="used", session="s1", participant="ann"),
            event(2, project_id=project.id, started_at=old, room="long-ago", session="s0", participant="bob"),
        ]
    )

    def names(kind: NameKind) -> dict[str, str]:
        return dict(read_names(store_url, kind))

    assert set(names(NameKind.ROOM)) == {"made", "used"}
    assert set(names(NameKind.SESSION)) == {"s1"}
    assert set(names(NameKind.PARTICIPANT)) == {"ann"}
    assert set(names(NameKind.MODEL)) == {"gpt-5.4"}
    assert set(names(NameKind.PROVIDER)) == {"openai"}
    assert names(NameKind.API_KEY) == {"laptop": key.id, key.id: "laptop"}
    assert names(NameKind.ACCESS_TOKEN) == {"grafana": token.id, token.id: "grafana"}


@pytest.mark.parametrize("url", ["sqlite:///{}/none.db", "postgresql://127.0.0.1:1/none", "mysql://x/y"])
def test_a_database_that_is_not_there(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreUnavailableError):
        read_names(url.format(tmp_path), NameKind.ROOM)
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database at all, and longer than a header" * 10)
    with pytest.raises(StoreUnavailableError):
        read_names(f"sqlite:///{tmp_path / 'x.db'}", NameKind.ROOM)
