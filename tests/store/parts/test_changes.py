import threading
import time
from collections.abc import Callable

from fixtures.store_events import NOON, event
from meshproxy_cli.store.records import Project, Role, Room
from meshproxy_cli.store.store import Store

Open = Callable[..., Store]


def test_every_change_of_control_data_moves_the_token(store: Store, project: Project) -> None:
    seen = [store.changes.revision()]
    key = store.keys.create(project.id, "a")
    seen.append(store.changes.revision())
    store.keys.revoke(project.id, key.id)
    seen.append(store.changes.revision())
    store.rooms.put(Room(name="a", project_id=project.id, created_at=NOON))
    seen.append(store.changes.revision())
    store.access_tokens.create("a", Role.ADMIN)
    seen.append(store.changes.revision())
    assert len(set(seen)) == len(seen)


def test_usage_does_not_move_the_token(store: Store) -> None:
    before = store.changes.revision()
    store.events.add([event(1)])
    assert store.changes.revision() == before


def test_a_feed_wakes_on_another_process_change(store: Store, project: Project, open_another: Open) -> None:
    other = open_another()
    with store.changes.follow() as feed:
        assert not feed.wait(0)
        other.events.add([event(1)])
        assert not feed.wait(0.3)
        change = threading.Timer(0.2, other.keys.create, (project.id, "a"))
        change.start()
        assert feed.wait(30)
        change.join()
        assert not feed.wait(0)


def test_a_feed_knows_what_changed_while_nobody_waited(store: Store, project: Project) -> None:
    with store.changes.follow() as feed:
        store.keys.create(project.id, "a")
        time.sleep(0.01)
        assert feed.wait(0)
        assert not feed.wait(0)
