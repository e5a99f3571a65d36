"""Rooms: which providers, models and aliases each has."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.rest.endpoint import Call, Endpoint, Input
from meshproxy_cli.proxy.admin.services import WebServices
from meshproxy_cli.store.base import Store
from meshproxy_cli.store.records import Room

_PATH = "/accounts/projects/{project_id}/rooms"
_LONGEST_NAME = 128
PROTOCOLS = ("openai", "anthropic")
_PATTERNS = tuple(f"{protocol}/" for protocol in PROTOCOLS)


class RoomSettings(Input):
    """All settings of a room; what is left out is emptied.

    `providers` maps openai/anthropic to a configured provider's name; `models` are `provider/model` patterns (none:
    every model); `aliases` map a model's name in requests to the real one.
    """

    providers: dict[str, str] = msgspec.field(default_factory=dict)
    models: tuple[str, ...] = ()
    aliases: dict[str, str] = msgspec.field(default_factory=dict)


class RoomList(msgspec.Struct):
    """The rooms that were created."""

    rooms: tuple[Room, ...]


def check_room(services: WebServices, project_id: str, name: str, settings: RoomSettings, now: datetime) -> Room:
    """Return the room that is meant; raise `Problem` 400 for a name, protocol or provider that can't be."""
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or set(name) & set("/?#%\\") or name[0] == ".":
        raise Problem(
            400,
            "invalid_request",
            f"{name!r} can't name a room: at most {_LONGEST_NAME} printable characters, no / ? # % \\, no dot first.",
        )
    for pattern in settings.models:
        if pattern != "*" and not pattern.startswith(_PATTERNS):
            raise Problem(
                400,
                "invalid_request",
                f"`models` are patterns such as openai/gpt-5.4 or anthropic/claude-*; not {pattern!r}.",
            )
    known = [provider.name for provider in services.providers]
    for protocol, provider in settings.providers.items():
        if protocol not in PROTOCOLS:
            raise Problem(400, "invalid_request", f"`providers` has openai and anthropic; not {protocol!r}.")
        if known and provider not in known:
            raise Problem(
                400, "invalid_request", f"No provider {provider!r} is configured; there is {', '.join(known)}."
            )
    return Room(
        name=name,
        project_id=project_id,
        created_at=now,
        providers=settings.providers,
        models=settings.models,
        aliases=settings.aliases,
    )


def put_room(store: Store, room: Room) -> Room:
    """Create the room or replace its settings; the time at which it was made stays."""
    known = [existing for existing in store.rooms(room.project_id) if existing.name == room.name]
    kept = replace(room, created_at=known[0].created_at) if known else room
    store.put_room(kept)
    return kept


async def _list(call: Call) -> RoomList:
    project = await call.project()
    return RoomList(rooms=await call.read(lambda store: store.rooms(project.id)))


async def _put(call: Call) -> Room:
    project = await call.project()
    room = check_room(call.services, project.id, call.path("room"), call.body, datetime.now(UTC))
    return await call.change(lambda store: put_room(store, room))


async def _remove(call: Call) -> None:
    project, name = await call.project(), call.path("room")
    await call.change(lambda store: store.remove_room(project.id, name))


ENDPOINTS = (
    Endpoint(method="GET", path=_PATH, summary="List rooms", tag="Rooms", handle=_list, answer=RoomList),
    Endpoint(
        method="PUT",
        path=_PATH + "/{room}",
        summary="Create a room or replace its settings",
        tag="Rooms",
        handle=_put,
        answer=Room,
        admin=True,
        body=RoomSettings,
    ),
    Endpoint(method="DELETE", path=_PATH + "/{room}", summary="Remove a room", tag="Rooms", handle=_remove, admin=True),
)
