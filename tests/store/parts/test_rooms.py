from dataclasses import replace

import pytest

from fixtures.store_events import NOON
from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.records import Actor, Project, Room
from meshproxy_cli.store.store import Store


def test_a_room_is_put_replaced_and_removed(store: Store, project: Project) -> None:
    room = Room(
        name="büro",
        project_id=project.id,
        created_at=NOON,
        providers={"openai": "azure"},
        models=("openai/gpt-*",),
        aliases={"default": "gpt-5.4"},
        tools=("image_generation",),
    )
    store.rooms.put(room)
    assert store.rooms.list(project.id) == (room,)
    store.rooms.put(replace(room, created_at=NOON.replace(year=2030), models=()))
    assert store.rooms.list(project.id) == (replace(room, models=()),)
    store.rooms.remove(project.id, "büro")
    assert store.rooms.list(project.id) == ()
    with pytest.raises(NotFoundError):
        store.rooms.remove(project.id, "büro")


def test_rooms_belong_to_their_project(store: Store, project: Project) -> None:
    other = store.projects.ensure("other")
    for owner in (project, other):
        store.rooms.put(Room(name="a", project_id=owner.id, created_at=NOON))
    store.rooms.remove(project.id, "a")
    assert [room.name for room in store.rooms.list(other.id)] == ["a"]


def test_changes_are_audited_in_words(store: Store, project: Project) -> None:
    acting = store.acting_as(Actor(name="ann", origin="10.0.0.1"))
    acting.rooms.put(Room(name="a", project_id=project.id, created_at=NOON, models=("openai/*", "anthropic/*")))
    (entry,) = store.audit.list()
    assert (entry.actor, entry.origin, entry.action, entry.target) == ("ann", "10.0.0.1", "room.put", "a")
    assert entry.details == {"models": "openai/*, anthropic/*"}
