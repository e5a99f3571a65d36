"""`meshproxy usage tail|export|prune`: single events."""

import enum
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated

import typer

from meshproxy_cli.cli import options, output
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.usage import filters
from meshproxy_cli.cli.usage.follow import Follower
from meshproxy_cli.cli.usage.render import count, to_csv
from meshproxy_cli.configedit.atomic import replacing
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.events import Outcome, UsageEvent
from meshproxy_cli.store.wire import event_to_row

_EVERY_S = 1.0
_TOLD_EVERY = 1000


class Format(enum.StrEnum):
    """How single events are written."""

    JSONL = "jsonl"
    CSV = "csv"


def tail(
    *,
    room: filters.Room = None,
    session: filters.Session = None,
    participant: filters.Participant = None,
    model: filters.Model = None,
    provider: filters.Provider = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=500, help="Earlier events shown first.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Print the earlier events and stop.")] = False,
    server: filters.Server = None,
) -> None:
    """Print events as they come, until Ctrl-C.

    **Examples**

    - `meshproxy usage tail --room backend`
    - `meshproxy usage tail --json | jq 'select(.outcome != "ok")'`
    """
    query = filters.build_query(
        room=room, session=session, participant=participant, model=model, provider=provider, since=None, until=None
    )
    show = _show_json if as_json else _show_text
    client = connect(server)
    try:
        follower = Follower(client, replace(query, project_id=client.project_id))
        _print(follower.start(lines), show)
        while not once:
            time.sleep(_EVERY_S)
            _print(follower.poll(), show)
    finally:
        client.close()


def export(
    *,
    room: filters.Room = None,
    session: filters.Session = None,
    participant: filters.Participant = None,
    model: filters.Model = None,
    provider: filters.Provider = None,
    since: filters.Since = None,
    until: filters.Until = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="JSON lines or CSV.")] = Format.JSONL,
    to: Annotated[
        Path | None, options.file("--output", "-o", text="Write to this file; it appears when it is whole.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    server: filters.Server = None,
) -> None:
    """Write single events, oldest first, as JSON lines or CSV.

    **Examples**

    - `meshproxy usage export --since 2026-10-01 --until 2026-11-01 -o october.jsonl`
    - `meshproxy usage export --format csv > usage.csv`
    """
    query = filters.build_query(
        room=room,
        session=session,
        participant=participant,
        model=model,
        provider=provider,
        since=since,
        until=until,
    )
    client = connect(server)
    try:
        query = replace(query, project_id=client.project_id)
        with _destination(to, force=force) as file, _progress(to) as tell:
            written = _write(_counted(client.events.export(query), tell), form, file)
    finally:
        client.close()
    output.note(f"{count(written, 'event')} written{f' to {to}' if to else ''}")


def prune(
    *,
    before: Annotated[
        str | None, typer.Option("--before", metavar="TIME", help="Drop events from before then (UTC).")
    ] = None,
    keep: Annotated[
        str | None, typer.Option("--keep", metavar="SPAN", help="Drop events older than this, such as `90d`.")
    ] = None,
    yes: options.Yes = False,
    server: filters.Server = None,
) -> None:
    """Drop old single events. The sums by hour stay, so `meshproxy usage` still adds up; `export` first.

    **Examples**

    - `meshproxy usage prune --keep 90d`
    - `meshproxy usage prune --before 2026-01-01 --yes`
    """
    if (before is None) == (keep is None):
        raise UsageError("give either --before or --keep", hint="meshproxy usage prune --keep 90d")
    now = datetime.now(UTC)
    moment = filters.parse_time(before or keep or "", "--before" if before else "--keep", now)
    if moment > now:
        raise UsageError("that time is still to come: nothing was dropped")
    output.agree(f"Drop every single event from before {moment:%Y-%m-%d %H:%M} UTC?", yes=yes)
    client = connect(server)
    try:
        with output.progress("dropping events"):
            dropped = client.events.prune(moment)
    finally:
        client.close()
    output.success(f"{count(dropped, 'event')} dropped; sums by hour are kept")


def _print(events: Iterable[UsageEvent], show: Callable[[UsageEvent], None]) -> None:
    for event in events:
        show(event)


def _show_json(event: UsageEvent) -> None:
    output.json_line(event_to_row(event))


def _show_text(event: UsageEvent) -> None:
    tokens = event.tokens
    outcome = "" if event.outcome is Outcome.OK else f"  {event.outcome}{f' ({event.error})' if event.error else ''}"
    cost = (
        "no price"
        if event.cost_usd is None
        else f"{'≈' if event.price_estimated else ''}${event.cost_usd.normalize():f}"
    )
    if event.cost_usd is None and not (tokens.input_tokens or tokens.output_tokens):
        cost = "-"
    output.text(
        f"{event.started_at:%Y-%m-%d %H:%M:%S}  {event.room}  {event.session}  {event.participant}  "
        f"{event.model_served or event.model_requested or '-'}  {event.status}  in {tokens.input_tokens:,}  "
        f"out {tokens.output_tokens:,}  {cost}  {event.duration_ms / 1000:.1f}s"
        f"{'  estimated' if event.estimated else ''}{outcome}"
    )


def _destination(path: Path | None, *, force: bool) -> AbstractContextManager[IO[bytes] | None]:
    """Return the file that is written; None stands for standard output."""
    if path is None:
        return nullcontext()
    return replacing(path, mode=_mode_of_new_files(), exclusive=not force)


def _mode_of_new_files() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _progress(to: Path | None) -> AbstractContextManager[Callable[[str], None]]:
    """Show how far it is, unless the events themselves go to the terminal."""
    return nullcontext(lambda _what: None) if to is None and output.is_terminal() else output.progress("reading events")


def _counted(events: Iterable[UsageEvent], tell: Callable[[str], None]) -> Iterator[UsageEvent]:
    for number, event in enumerate(events, 1):
        if number % _TOLD_EVERY == 0:
            tell(f"{number:,} events")
        yield event


def _write(events: Iterable[UsageEvent], form: Format, file: IO[bytes] | None) -> int:
    count = 0
    for event in events:
        row = event_to_row(event)
        if form is Format.JSONL and file is None:
            output.json_line(row)
        elif file is not None and form is Format.JSONL:
            file.write(f"{output.json_text(row)}\n".encode())
        else:
            header, line = to_csv(tuple(row), [tuple(row.values())]).split("\n", 1)
            lines = f"{header}\n{line}" if count == 0 else line
            output.verbatim(lines) if file is None else file.write(f"{lines}\n".encode())
        count += 1
    return count
