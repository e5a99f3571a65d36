"""`meshproxy usage [show]`: a table of usage that adds up."""

from dataclasses import replace
from typing import Annotated

import typer

from meshproxy_cli.cli import options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.usage import filters, render
from meshproxy_cli.client.base import ServerClient
from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.records import GroupBy, UsageQuery, UsageReport
from meshproxy_cli.store.wire import report_to_json
from meshproxy_cli.suggest import did_you_mean

By = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="KEY",
        help="Group by room, session, participant, model, provider, agent, key, day or hour (UTC); repeat it or "
        "write commas between. Default: room,session,model.",
        autocompletion=names.groups,
    ),
]

_NAMED = (GroupBy.ROOM, GroupBy.SESSION, GroupBy.PARTICIPANT, GroupBy.MODEL, GroupBy.PROVIDER)


def show(
    *,
    room: filters.Room = None,
    session: filters.Session = None,
    participant: filters.Participant = None,
    model: filters.Model = None,
    provider: filters.Provider = None,
    since: filters.Since = None,
    until: filters.Until = None,
    by: By = None,
    as_json: options.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Redraw live until Ctrl-C.")] = False,
    server: filters.Server = None,
) -> None:
    """Show tokens and cost, summed up by room, session and model (or as `--by` says), with totals.

    Input includes what was read from a cache, which is also in "Cached"; output includes reasoning. A request whose
    model has no known price is counted and never priced at zero.

    **Examples**

    - `meshproxy usage --since 7d`
    - `meshproxy usage --room backend --by day,model --since 2026-11-01`
    - `meshproxy usage --by participant --json | jq .totals.cost_usd`
    - `meshproxy usage --watch`
    """
    if sum((as_json, as_csv, watch)) > 1:
        raise UsageError("--json, --csv and --watch can't go together")
    query = filters.build_query(
        room=room,
        session=session,
        participant=participant,
        model=model,
        provider=provider,
        since=since,
        until=until,
        by=filters.parse_groups(by or []),
    )
    client = connect(server)
    try:
        query = replace(query, project_id=client.project_id)
        if watch:
            from meshproxy_cli.cli.usage.watch import watch as run_watch  # noqa: PLC0415 (Rich's live display)

            run_watch(client, query)
            return
        report = client.usage.report(query)
        near = "" if report.rows else _near(client, query)
    finally:
        client.close()
    if as_json:
        output.data(report_to_json(report))
    elif as_csv:
        output.verbatim(render.report_to_csv(report))
    else:
        _print_table(report, query, near)


def _print_table(report: UsageReport, query: UsageQuery, near: str) -> None:
    if not report.rows:
        output.note(f"no usage{_narrowed(query)} yet{near}")
        return
    table = render.build_table(report, output.width())
    output.table(table.columns, table.rows, footer=table.footer)
    totals = report.totals
    if totals.unpriced_requests:
        output.warn(
            f"{render.count(totals.unpriced_requests, 'request')} of models without a known price: counted above, "
            "but not in the cost (`--by model` shows which)"
        )
    if totals.price_estimated_requests:
        output.note(
            f"{render.count(totals.price_estimated_requests, 'request')} of models that the price list does not know "
            "yet: priced as the newest model of the same family (≈)"
        )
    if totals.estimated_requests:
        output.note(f"{render.count(totals.estimated_requests, 'request')} broke off: tokens are estimated there")


def _near(client: ServerClient, query: UsageQuery) -> str:
    """Name what was meant, where there is no usage because a name is misspelled."""
    for group in _NAMED:
        wanted = getattr(query, group)
        if wanted is not None:
            rows = client.usage.report(UsageQuery(project_id=query.project_id, by=(group,))).rows
            known = {row.keys[group] for row in rows}
            if wanted not in known and (meant := did_you_mean(wanted, known)):
                return meant
    return ""


def _narrowed(query: UsageQuery) -> str:
    given = [name for name in (*_NAMED, "since", "until") if getattr(query, name) is not None]
    return f" for this {', '.join(given)}" if given else ""
