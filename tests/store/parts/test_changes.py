import threading
import time
from collections.abc import Callable

from fixtures.store_events import NOON, event
from meshproxy_cli.store.records import Project, Role, Room
from meshproxy_cli.store.store import SqlStore

Open = Callable[..., SqlStore]


def test_every_change_of_control_data_moves_the_token(store: SqlStore, project: Project) -> None:
    seen = [store.change_token()]
    key = store.create_api_key(project.id, "a")
    seen.append(store.change_token())
    store.revoke_api_key(project.id, key.id)
    seen.append(store.change_token())
    store.put_room(Room(name="a", project_id=project.id, created_at=NOON))
    seen.append(store.change_token())
    store.create_access_token("a", Role.ADMIN)
    seen.append(store.change_token())
    assert len(set(seen)) == len(seen)


def test_usage_does_not_move_the_token(store: SqlStore) -> None:
    before = store.change_token()
    store.add_events([event(1)])
    assert store.change_token() == before


def test_a_feed_wakes_on_another_process_change(store: SqlStore, project: Project, open_another: Open) -> None:
    other = open_another()
    with store.changes() as feed:
        assert not feed.wait(0)
        other.add_events([event(1)])
        assert not feed.wait(0.3)
        change = threading.Timer(0.2, other.create_api_key, (project.id, "a"))
        change.start()
        assert feed.wait(30)
        change.join()
        assert not feed.wait(0)


def test_a_feed_knows_what_changed_while_nobody_waited(store: SqlStore, project: Project) -> None:
    with store.changes() as feed:
        store.create_api_key(project.id, "a")
        time.sleep(0.01)
        assert feed.wait(0)
        assert not feed.wait(0)
