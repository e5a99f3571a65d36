"""What is offered for the values of options and arguments: one function for each kind of value.

Typer hands each the command's context, or what was typed so far, if it has a parameter for that; it gives names, or
(name, remark), and what does not fit what was typed is left out. Without any, the shell offers files.
"""

import os
from collections.abc import Callable

import typer

from meshproxy_cli.cli.completion import sources
from meshproxy_cli.cli.completion.sources import Name, gather


def _of_server(kind: str, *more: sources.Source) -> Callable[[typer.Context], list[Name]]:
    """Return what offers names of a `store.names.NameKind` of the server that `--server` names."""

    def offer(ctx: typer.Context) -> list[Name]:
        from meshproxy_cli.store.names import NameKind  # noqa: PLC0415 (once Tab is pressed)

        server, room = ctx.params.get("server"), ctx.params.get("room")
        return gather([*more, lambda: sources.on_server(NameKind(kind), server, room)])

    return offer


rooms = _of_server("room", sources.rooms_here)
sessions = _of_server("session")
participants = _of_server("participant")
models = _of_server("model")
used_providers = _of_server("provider")
api_keys = _of_server("api_key")
access_tokens = _of_server("access_token")


def files() -> list[str]:
    """Offer nothing: the shell completes file names better than we could."""
    return []


def servers() -> list[Name]:
    """Offer the known servers."""
    return gather([sources.servers])


def agents() -> list[Name]:
    """Offer the agents that can be configured."""
    from meshproxy_cli.agents.registry import AGENTS  # noqa: PLC0415 (once Tab is pressed)

    return [(agent.name, agent.title) for agent in AGENTS]


def providers() -> list[Name]:
    """Offer the providers of this machine's server."""
    from meshproxy_cli.settings.providers import read_providers  # noqa: PLC0415 (once Tab is pressed)

    return gather([lambda: ((one.name, one.protocol) for one in read_providers(sources.paths(), os.environ))])


def secrets() -> list[Name]:
    """Offer the names of this user's secrets."""
    return gather([lambda: ((name, "") for name in sources.secret_names())])


def imported_rooms() -> list[Name]:
    """Offer the rooms for which a token was imported."""
    return gather([sources.imported_rooms])


def settings() -> list[str]:
    """Offer the keys of the settings file."""
    from meshproxy_cli.settings.edit import allowed_keys  # noqa: PLC0415 (once Tab is pressed)

    return list(allowed_keys())


def protocols() -> list[str]:
    """Offer the providers' protocols."""
    return ["openai", "anthropic"]


def roles() -> list[str]:
    """Offer the roles of participants."""
    return ["user", "agent", "tool"]


def limit_kinds() -> list[str]:
    """Offer what can be limited."""
    from meshproxy_cli.cli.limits import option  # noqa: PLC0415 (once Tab is pressed)
    from meshproxy_cli.store.records import LimitKind  # noqa: PLC0415

    return [option(kind) for kind in LimitKind]


def groups(incomplete: str) -> list[str]:
    """Offer what usage can be grouped by, behind the commas that are there already."""
    from meshproxy_cli.store.records import GroupBy  # noqa: PLC0415 (once Tab is pressed)

    before, comma, _ = incomplete.rpartition(",")
    return [f"{before}{comma}{group.value}" for group in GroupBy if group.value not in before.split(",")]


def past_times() -> list[str]:
    """Offer common times in the past."""
    return ["today", "yesterday", "24h", "7d", "30d"]


def lifetimes() -> list[str]:
    """Offer common lifetimes."""
    return ["30m", "1h", "8h", "7d"]
