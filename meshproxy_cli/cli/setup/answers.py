"""The questions of `meshproxy setup`: each has a flag, and what is known already is the answer offered."""

import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from meshproxy_cli.agents.base import DEFAULT_PROFILE
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.agents.registry import AGENTS, find_agent
from meshproxy_cli.agents.snippets import SNIPPETS
from meshproxy_cli.cli import context, output
from meshproxy_cli.configedit.receipts import Receipt, load_all
from meshproxy_cli.errors import MeshproxyError, UsageError
from meshproxy_cli.settings.credentials import active_api_key, find_access_token, find_room_token
from meshproxy_cli.settings.schema import HOSTED, LOCAL
from meshproxy_cli.settings.servers import Server

_ROOM = "my-room"
_MODEL = "gpt-5.4"


@dataclass(frozen=True, slots=True)
class Flags:
    """What stood on the command line."""

    server: str | None = None
    room: str | None = None
    agents: tuple[str, ...] = ()
    key_file: Path | None = None
    yes: bool = False
    service: bool = False
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """All that has to be known. `new_server`: it is not in the settings yet. `key_text` is a key to be kept.

    `models` are by agent; one that is not there asks for its own.
    """

    server: Server
    new_server: bool
    room: str
    agents: tuple[str, ...]
    has_key: bool
    key_text: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)


def ask(flags: Flags, is_usable: Callable[[Server], None] = lambda _: None) -> Answers:
    """Return the answers, from flags, from what is there, or from the person at the terminal.

    `is_usable` raises where nothing else makes sense before something is done about the server; it is asked before the
    other questions. Raises `UsageError` that names every missing flag where nobody can be asked.
    """
    for name in flags.agents:
        find_agent(name)
    if not output.interactive():
        _require(flags)
    server, new = _server(flags.server)
    is_usable(server)
    room = flags.room or _room(server)
    agents = flags.agents or _agents()
    if not agents:
        known = ", ".join(agent.name for agent in AGENTS if agent not in SNIPPETS)
        why = "no agent is chosen" if any(_installed()) else "no agent is installed here that could be configured"
        raise UsageError(
            f"{why}, so there is nothing to do",
            hint=f"one can be configured before it is there: --agent, one of {known}",
        )
    models = _models(flags.model, agents)
    key_text = _key_from(flags.key_file)
    has_key = key_text is None and _has_credential(server, room)
    if key_text is None and not has_key and not _can_create(server):
        key_text = output.ask_secret(
            f"An API key, a participant token or your access token for {server.url}",
            hint="ask its admin for one, and give it with --key-file FILE (- reads standard input)",
        )
    return Answers(server, new, room, agents, has_key, key_text, models)


def _require(flags: Flags) -> None:
    """Refuse at once, and with every flag that is missing."""
    server = context.settings().server(flags.server)
    missing = []
    room = flags.room or _known_room(server)
    if room is None:
        missing.append(f"--room {_ROOM}")
    if not flags.agents:
        missing.append(f"--agent {next(iter(_installed()), 'codex')}")
    if flags.model is None and _without_model(flags.agents):
        missing.append(f"--model {_MODEL}")
    if flags.key_file is None and not _has_credential(server, room or _ROOM) and not _can_create(server):
        missing.append("--key-file FILE")
    if not flags.yes:
        missing.append("--yes")
    if missing:
        given = [f"--server {shlex.quote(flags.server)}"] if flags.server else []
        given += [f"--room {shlex.quote(flags.room)}"] if flags.room else []
        given += [f"--agent {agent}" for agent in flags.agents]
        given += [f"--model {shlex.quote(flags.model)}"] if flags.model else []
        given += [f"--key-file {shlex.quote(str(flags.key_file))}"] if flags.key_file else []
        given += ["--service"] * flags.service + ["--yes"] * flags.yes
        raise UsageError(
            f"there is no terminal to ask on, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            hint=" ".join(["meshproxy setup", *given, *missing]),
        )


def _server(flag: str | None) -> tuple[Server, bool]:
    settings = context.settings()
    chosen = flag or (_ask_server(settings.current) if output.interactive() else settings.current)
    server = settings.server(chosen)
    if server.name in settings.servers:
        return server, False
    return Server(_name_for(server.url, set(settings.servers)), server.url), True


def _ask_server(current: str) -> str:
    output.note(f"Which Room Proxy? '{LOCAL}' is this machine's own, '{HOSTED}' MeshAgent's service; or a team's URL.")
    while True:
        chosen = output.ask("Server", default=current)
        try:
            context.settings().server(chosen)
        except MeshproxyError as problem:
            output.error(problem)
        else:
            return chosen


def _name_for(url: str, taken: set[str]) -> str:
    """Return a short name for a server that is new: the telling part of its host's name."""
    labels = [label for label in (urlsplit(url).hostname or "team").split(".") if label not in {"www", "api"}]
    name = re.sub(r"[^A-Za-z0-9_-]", "-", labels[0]) if labels and not labels[0].isdigit() else "team"
    number = 1
    while name in taken:
        number += 1
        name = f"{name.rstrip('0123456789-')}-{number}"
    return name


def _room(server: Server) -> str:
    known = _known_room(server)
    if not output.interactive():
        return known or _ROOM
    return output.ask("Room (what usage is reported by)", default=known or _ROOM)


def _known_room(server: Server) -> str | None:
    configured = (one.room for one in reversed(load_all(context.paths().receipts_dir)) if one.server == server.name)
    return os.environ.get("MESHAGENT_ROOM") or server.room or next(configured, None)


def _agents() -> tuple[str, ...]:
    """Ask for each agent that is installed; one that was configured before is offered first."""
    if not output.interactive():
        return ()
    return tuple(
        name for name in _installed() if output.ask_yes_no(f"Configure {find_agent(name).title}?", default=True)
    )


def _installed() -> Iterator[str]:
    machine = Machine.current(os.environ)
    return (
        agent.name
        for agent in AGENTS
        if agent not in SNIPPETS and agent.program and machine.find(agent.program) is not None
    )


def configured(agent: str) -> Receipt | None:
    """Return what was configured last for an agent in this user's settings, under the name that `setup` uses."""
    receipts = reversed(load_all(context.paths().receipts_dir))
    mine = (one for one in receipts if (one.agent, one.profile, one.scope) == (agent, DEFAULT_PROFILE, "user"))
    return next(mine, None)


def _models(flag: str | None, agents: tuple[str, ...]) -> dict[str, str]:
    """Return the models by agent: of the flag for those that speak its protocol, else as configured, else asked for."""
    known = {name: receipt.model for name in agents if (receipt := configured(name)) and receipt.model}
    if flag is not None:
        foreign = "codex" if "claude" in flag.lower() else "claude"
        return known | {name: flag for name in agents if name != foreign or agents == (foreign,)}
    wanting = _without_model(agents)
    if not wanting:
        return known
    titles = ", ".join(find_agent(name).title for name in wanting)
    model = output.ask(f"Model for {titles} (--model)", default=_MODEL)
    return known | dict.fromkeys(wanting, model)


def _without_model(agents: tuple[str, ...]) -> tuple[str, ...]:
    """Return those that have to be told a model, and were not."""
    wanting = (name for name in agents if find_agent(name).needs_model)
    return tuple(name for name in wanting if (receipt := configured(name)) is None or not receipt.model)


def _key_from(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{file} can't be read: {problem}") from None
    if not text.strip():
        raise UsageError(f"there is no key in {file}: it is empty")
    return text.strip()


def _has_credential(server: Server, room: str) -> bool:
    secrets = context.secrets()
    if find_room_token(server.name, room, secrets) is not None:
        return True
    try:
        active_api_key(server.name, secrets, os.environ)
    except MeshproxyError:
        return False
    return True


def _can_create(server: Server) -> bool:
    """Whether a key can be made there: on this machine, or with an access token."""
    return server.local or find_access_token(server.name, context.secrets(), os.environ) is not None
