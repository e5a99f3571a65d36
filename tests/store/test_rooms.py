from dataclasses import replace
from decimal import Decimal

import pytest

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.records import Actor, Limit, LimitKind, LimitScope, Project, Room
from meshproxy_cli.store.sql import SqlStore

from .conftest import NOON


def test_a_room_is_put_replaced_and_removed(store: SqlStore, project: Project) -> None:
    room = Room(
        name="büro",
        project_id=project.id,
        created_at=NOON,
        providers={"openai": "azure"},
        models=("openai/gpt-*",),
        aliases={"default": "gpt-5.4"},
        tools=("image_generation",),
    )
    store.put_room(room)
    assert store.rooms(project.id) == (room,)
    store.put_room(replace(room, created_at=NOON.replace(year=2030), models=()))
    assert store.rooms(project.id) == (replace(room, models=()),)
    store.remove_room(project.id, "büro")
    assert store.rooms(project.id) == ()
    with pytest.raises(NotFoundError):
        store.remove_room(project.id, "büro")


def test_rooms_belong_to_their_project(store: SqlStore, project: Project) -> None:
    other = store.ensure_project("other")
    for owner in (project, other):
        store.put_room(Room(name="a", project_id=owner.id, created_at=NOON))
    store.remove_room(project.id, "a")
    assert [room.name for room in store.rooms(other.id)] == ["a"]


def test_limits_are_exact_and_keyed_by_scope_subject_and_kind(store: SqlStore, project: Project) -> None:
    daily = Limit(
        project_id=project.id,
        scope=LimitScope.PARTICIPANT,
        subject="*",
        kind=LimitKind.USD_PER_DAY,
        amount=Decimal("0.1000000000000000000001"),
    )
    monthly = replace(daily, kind=LimitKind.USD_PER_MONTH, amount=Decimal(2000), hard=False)
    store.put_limit(daily)
    store.put_limit(monthly)
    assert store.limits() == (daily, monthly)
    assert str(store.limits(project.id)[1].amount) == "2000"
    store.put_limit(replace(daily, amount=Decimal(7)))
    assert store.limits(project.id)[0].amount == 7
    store.remove_limit(daily)
    assert store.limits(project.id) == (monthly,)
    with pytest.raises(NotFoundError, match="participant"):
        store.remove_limit(daily)
    assert store.limits("another project") == ()


def test_changes_are_audited_in_words(store: SqlStore, project: Project) -> None:
    acting = store.acting_as(Actor(name="ann", origin="10.0.0.1"))
    acting.put_room(Room(name="a", project_id=project.id, created_at=NOON, models=("openai/*", "anthropic/*")))
    (entry,) = store.audit_entries()
    assert (entry.actor, entry.origin, entry.action, entry.target) == ("ann", "10.0.0.1", "room.put", "a")
    assert entry.details == {"models": "openai/*, anthropic/*"}
