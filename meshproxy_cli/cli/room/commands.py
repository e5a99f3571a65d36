"""`meshproxy room`: rooms with settings of their own."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.limits import describe, limit_json
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.errors import ConflictError, NotFoundError, UsageError
from meshproxy_cli.settings.providers import read_providers
from meshproxy_cli.store.records import Limit, LimitScope, Room
from meshproxy_cli.suggest import did_you_mean

_PROTOCOLS = ("openai", "anthropic")
_LONGEST_NAME = 128
_IN_NO_NAME = frozenset("/?#%\\")

NameArgument = Annotated[
    str, typer.Argument(metavar="ROOM", help="The room's name, as it stands in its URLs.", autocompletion=names.rooms)
]
ProviderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider", metavar="PROTOCOL=NAME", help="Who answers openai or anthropic calls; `openai=` for the default."
    ),
]
ModelOption = Annotated[
    list[str] | None,
    typer.Option("--model", metavar="PATTERN", help="Allow only these: openai/gpt-5.4, anthropic/claude-*; repeat it."),
]
ToolOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tool",
        metavar="TYPE",
        help="Allow a tool's type, or an option, that may run other models; `TYPE=` removes it.",
    ),
]
AliasOption = Annotated[
    list[str] | None,
    typer.Option("--alias", metavar="NAME=MODEL", help="Another name for a model; `NAME=` removes it."),
]


def create(
    *,
    name: NameArgument,
    provider: ProviderOption = None,
    model: ModelOption = None,
    alias: AliasOption = None,
    tool: ToolOption = None,
    server: options.Server = None,
) -> None:
    """Create a room. Unless the server is strict, rooms need not be created: a token that names one is enough.

    **Examples**

    - `meshproxy room create research`
    - `meshproxy room create cheap --model 'openai/gpt-5.4-mini' --alias default=gpt-5.4-mini`
    - `meshproxy room create azure --provider openai=azure-eu`
    """
    _check_name(name)
    client = connect(server)
    try:
        if _named(client.rooms.list(client.project_id), name) is not None:
            raise ConflictError(f"there is a room {name} already", hint=f"change it: meshproxy room set {name} …")
        room = Room(name=name, project_id=client.project().id, created_at=datetime.now(UTC))
        client.rooms.put(room := _changed(room, provider, model, alias, tool))
    finally:
        client.close()
    output.success(f"created the room {name}")
    _warn_of_unknown_providers(room, server)


def set_(
    *,
    name: NameArgument,
    provider: ProviderOption = None,
    model: ModelOption = None,
    all_models: Annotated[bool, typer.Option("--all-models", help="Allow every model again.")] = False,
    alias: AliasOption = None,
    tool: ToolOption = None,
    server: options.Server = None,
) -> None:
    """Change a room's settings; what is not named stays. `--model` replaces the whole list of models.

    **Examples**

    - `meshproxy room set research --provider anthropic=bedrock`
    - `meshproxy room set research --model 'anthropic/claude-*' --model openai/gpt-5.4`
    - `meshproxy room set research --all-models --alias default=`
    - `meshproxy room set research --tool image_generation`
    """
    if not (provider or model or alias or tool or all_models):
        raise UsageError("there is nothing to set", hint="give --provider, --model, --all-models, --alias or --tool")
    if model and all_models:
        raise UsageError("--model and --all-models contradict each other")
    client = connect(server)
    try:
        room = _find(client, name)
        room = _changed(replace(room, models=()) if all_models else room, provider, model, alias, tool)
        client.rooms.put(room)
    finally:
        client.close()
    output.success(f"changed the room {name}")
    _warn_of_unknown_providers(room, server)


def list_(*, server: options.Server = None, as_json: options.Json = False) -> None:
    """List the rooms that were created.

    **Examples**

    - `meshproxy room list`
    - `meshproxy room list --json | jq -r '.rooms[].name'`
    """
    client = connect(server)
    try:
        rooms = client.rooms.list(client.project_id)
    finally:
        client.close()
    if as_json:
        output.data({"rooms": [_as_json(room) for room in rooms]})
    elif rooms:
        columns = [output.Column("Room"), output.Column("Created"), output.Column("Settings", fold=True)]
        output.table(
            columns, [(room.name, f"{room.created_at:%Y-%m-%d}", "; ".join(_settings(room))) for room in rooms]
        )
    else:
        output.note("no room was created; a room that a token names exists all the same, unless the server is strict")


def show(*, name: NameArgument, server: options.Server = None, as_json: options.Json = False) -> None:
    """Show a room's settings and the limits on it.

    **Examples**

    - `meshproxy room show research`
    - `meshproxy room show research --json`
    """
    client = connect(server)
    try:
        room = _find(client, name)
        limits = [limit for limit in client.limits.list(client.project_id) if _is_on(limit, name)]
    finally:
        client.close()
    if as_json:
        output.data({**_as_json(room), "limits": [limit_json(limit) for limit in limits]})
        return
    output.text(f"{room.name} (created {room.created_at:%Y-%m-%d %H:%M} UTC)")
    for line in (*_settings(room), *(f"limit: {describe(limit)}" for limit in limits)):
        output.text(f"  {line}")


def remove(
    *,
    name: NameArgument,
    yes: options.Yes = False,
    server: options.Server = None,
) -> None:
    """Remove a room's settings; its usage stays. On a strict server its tokens stop working.

    **Examples**

    - `meshproxy room remove research`
    - `meshproxy room remove research --yes`
    """
    client = connect(server)
    try:
        _find(client, name)
        output.agree(f"Remove the room {name}?", yes=yes)
        client.rooms.remove(client.project_id, name)
    finally:
        client.close()
    output.success(f"removed the room {name}")


def _find(client: ServerClient, name: str) -> Room:
    rooms = client.rooms.list(client.project_id)
    room = _named(rooms, name)
    if room is None:
        near = did_you_mean(name, [one.name for one in rooms])
        raise NotFoundError(f"no room {name} was created{near}", hint=f"create it: meshproxy room create {name}")
    return room


def _named(rooms: Iterable[Room], name: str) -> Room | None:
    return next((room for room in rooms if room.name == name), None)


def _is_on(limit: Limit, name: str) -> bool:
    return limit.scope is LimitScope.ROOM and limit.subject in {name, "*"}


def _changed(
    room: Room,
    provider: list[str] | None,
    model: list[str] | None,
    alias: list[str] | None,
    tool: list[str] | None,
) -> Room:
    providers = _merged(room.providers, provider, "--provider")
    for protocol in providers:
        if protocol not in _PROTOCOLS:
            raise UsageError(
                f"--provider: {protocol!r} is no protocol{did_you_mean(protocol, _PROTOCOLS)}",
                hint=f"there are {' and '.join(_PROTOCOLS)}",
            )
    for pattern in model or ():
        if not pattern.startswith(tuple(f"{protocol}/" for protocol in _PROTOCOLS)) and pattern != "*":
            raise UsageError(
                f"--model: {pattern!r} must begin with openai/ or anthropic/", hint="such as 'openai/gpt-*'"
            )
    return replace(
        room,
        providers=providers,
        models=tuple(model) if model else room.models,
        aliases=_merged(room.aliases, alias, "--alias"),
        tools=_with_tools(room.tools, tool),
    )


def _with_tools(before: tuple[str, ...], given: list[str] | None) -> tuple[str, ...]:
    tools = dict.fromkeys(before)
    for text in given or ():
        name = text.removesuffix("=")
        if not name or not name.isprintable():
            raise UsageError(f"--tool: {text!r} is not a type of tools")
        tools.pop(name, None)
        if not text.endswith("="):
            tools[name] = None
    return tuple(tools)


def _warn_of_unknown_providers(room: Room, server: str | None) -> None:
    """Warn where this machine's `server.toml` lacks a room's provider; other servers refuse it themselves."""
    if not (room.providers and context.settings().server(server).local):
        return
    try:
        known = [one.name for one in read_providers(context.paths(), {})]
    except UsageError:  # `meshproxy reload --check` says what is wrong with the file
        return
    for protocol, name in sorted(room.providers.items()):
        if known and name not in known:
            missing = f"server.toml has no provider named {name!r}{did_you_mean(name, known)}"
            output.warn(f"{protocol} calls in this room fail: {missing}")


def _merged(before: dict[str, str], given: list[str] | None, option: str) -> dict[str, str]:
    merged = dict(before)
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{option}: {text!r} is not NAME=VALUE")
        merged[name] = value
    return {name: value for name, value in merged.items() if value}


def _check_name(name: str) -> None:
    wrong = not name or len(name) > _LONGEST_NAME or not name.isprintable() or name.startswith(".")
    if wrong or _IN_NO_NAME & set(name):
        raise UsageError(
            f"{name!r} can't name a room",
            hint=f"at most {_LONGEST_NAME} printable characters, none of / ? # % \\, and no dot first",
        )


def _settings(room: Room) -> tuple[str, ...]:
    lines = [f"{protocol}: {provider}" for protocol, provider in sorted(room.providers.items())]
    if room.models:
        lines.append(f"models: {', '.join(room.models)}")
    if room.aliases:
        lines.append(f"aliases: {', '.join(f'{name} = {model}' for name, model in sorted(room.aliases.items()))}")
    if room.tools:
        lines.append(f"tools: {', '.join(room.tools)}")
    return tuple(lines)


def _as_json(room: Room) -> dict[str, Any]:
    return {
        "name": room.name,
        "created_at": room.created_at.isoformat(),
        "providers": room.providers,
        "models": list(room.models),
        "aliases": room.aliases,
        "tools": list(room.tools),
    }
