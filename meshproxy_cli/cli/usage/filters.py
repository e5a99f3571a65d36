"""The options that say which usage is meant, shared by the usage commands, and how times are written."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from meshproxy_cli.cli import options
from meshproxy_cli.cli.completion import names
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.records import GroupBy, UsageQuery
from meshproxy_cli.store.wire import time_from_text
from meshproxy_cli.suggest import did_you_mean

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,6})\s*([mhdw])")
_PANEL = "Which usage"

Room = Annotated[str | None, options.room("This room only.", panel=_PANEL)]
Session = Annotated[str | None, options.session("This session (`Meshagent-Session`) only.", panel=_PANEL)]
Participant = Annotated[str | None, options.participant("This participant only.", panel=_PANEL)]
Model = Annotated[str | None, options.model("This model, as served, only.", panel=_PANEL)]
Provider = Annotated[
    str | None,
    typer.Option(
        "--provider",
        metavar="NAME",
        help="This provider only.",
        rich_help_panel=_PANEL,
        autocompletion=names.used_providers,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="From then on: `30m`, `24h`, `7d`, `2w` ago, `today`, `yesterday`, a date or a time (UTC).",
        rich_help_panel=_PANEL,
        autocompletion=names.past_times,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME",
        help="Up to then, which is left out.",
        rich_help_panel=_PANEL,
        autocompletion=names.past_times,
    ),
]
Server = Annotated[str | None, options.server(panel=_PANEL)]


def parse_time(text: str, option: str, now: datetime) -> datetime:
    """Return the moment that a person wrote, in UTC; raise `UsageError` that shows how it can be written."""
    wanted = text.strip().lower()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if wanted in {"today", "yesterday"}:
        return midnight if wanted == "today" else midnight - timedelta(days=1)
    try:
        span = _SPAN.fullmatch(wanted)
        if span:
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        return time_from_text(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option} {text!r} is no time", hint="write 7d, 24h, 30m, 2w, today, 2026-11-01 or 2026-11-01T09:30Z"
        ) from None


def parse_groups(texts: list[str]) -> tuple[GroupBy, ...]:
    """Return what `--by` names, once each, in order; raise `UsageError` for a name that is none."""
    names = [name.strip().lower() for text in texts for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(GroupBy)]
    if unknown:
        near = did_you_mean(unknown[0], GroupBy)
        raise UsageError(
            f"--by {', '.join(unknown)} is nothing to group by{near}", hint=f"there is {', '.join(GroupBy)}"
        )
    return tuple(GroupBy(name) for name in dict.fromkeys(names))


def build_query(
    *,
    room: str | None,
    session: str | None,
    participant: str | None,
    model: str | None,
    provider: str | None,
    since: str | None,
    until: str | None,
    by: tuple[GroupBy, ...] = (),
    now: datetime | None = None,
) -> UsageQuery:
    """Return the query that the options describe; raise `UsageError` for times that are wrong."""
    now = now or datetime.now(UTC)
    start = parse_time(since, "--since", now) if since else None
    end = parse_time(until, "--until", now) if until else None
    if start and end and start >= end:
        raise UsageError("--since is not before --until: no time lies between")
    return UsageQuery(
        room=room,
        session=session,
        participant=participant,
        model=model,
        provider=provider,
        since=start,
        until=end,
        by=by or UsageQuery().by,
    )
