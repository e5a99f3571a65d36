"""From options to what an agent is connected to: shared by `configure`, `launch` and `env`."""

import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from meshproxy_cli.agents.base import DEFAULT_PROFILE, Credentials, Target
from meshproxy_cli.agents.helper import helper_command
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.cli import context
from meshproxy_cli.cli.agent.fresh_token import fresh_token
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.servers import Server, Settings

# Written into a file, a token has to last until somebody runs the command again.
_INLINE_LIFETIME = "24h"
_DEFAULT_SESSION = "{agent}-{host}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person chose on the command line; None and False stand for the defaults."""

    room: str | None = None
    server: str | None = None
    session: str | None = None
    model: str | None = None
    profile: str | None = None
    credentials: Credentials = Credentials.HELPER
    make_default: bool = False
    standalone: bool = False
    project: Path | None = None
    env_file: Path | None = None


def make_target(agent: str, choice: Choice) -> Target:
    """Return the target for an agent. Raises `UsageError` where the room is missing or a name can't be used."""
    settings = context.settings()
    server = settings.server(choice.server)
    room = choice.room or os.environ.get("MESHAGENT_ROOM") or server.room
    if not room:
        raise UsageError("no room is given", hint=f"add --room NAME: meshproxy … {agent} --room my-room")
    _require_header("--room", room)
    target = Target(
        room=room,
        server=server.name,
        server_url=server.url,
        session=_session(agent, choice.session, server),
        helper=helper_command(room, os.environ, server=server_argument(settings, server)),
        machine=Machine.current(os.environ),
        model=choice.model,
        profile=choice.profile or DEFAULT_PROFILE,
        credentials=choice.credentials,
        make_default=choice.make_default,
        standalone=choice.standalone,
        project=choice.project,
        env_file=choice.env_file,
    )
    if choice.credentials is Credentials.INLINE:
        return replace(target, token=fresh_token(target, _INLINE_LIFETIME))
    return target


def server_argument(settings: Settings, server: Server) -> str:
    """Return what names this server in every shell: another current server, or a variable, must not divert it."""
    return server.name if server.name in settings.servers else server.url


def _session(agent: str, chosen: str | None, server: Server) -> str:
    host = socket.gethostname().partition(".")[0] or "host"
    template = chosen or server.session or _DEFAULT_SESSION
    session = template.replace("{agent}", agent).replace("{host}", host)
    if "{user}" in session:
        from meshproxy_cli.cli.token.get import login_name  # noqa: PLC0415 (few name sessions so)

        session = session.replace("{user}", login_name())
    _require_header("--session", session)
    return session


def _require_header(option: str, value: str) -> None:
    if not value.strip() or not value.isprintable() or (option == "--session" and not value.isascii()):
        raise UsageError(
            f"{option} {value!r} can't be sent in a header", hint="use letters, digits and signs on one line"
        )
