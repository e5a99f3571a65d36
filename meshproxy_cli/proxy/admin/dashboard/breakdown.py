"""Usage as one table, grouped by whatever the URL says (`?by=room,model`), and single requests, newest first."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import in_store
from meshproxy_cli.proxy.admin.dashboard.filters import FIELDS, PERIODS, Filters
from meshproxy_cli.proxy.admin.dashboard.overview import weight
from meshproxy_cli.proxy.admin.dashboard.pages import page, project_of, render
from meshproxy_cli.proxy.admin.dashboard.sessions import Session
from meshproxy_cli.store.records import GroupBy, UsageReport, UsageRow

_PAGE = 50
_MOST_ROWS = 500
_TIMES = frozenset({GroupBy.DAY, GroupBy.HOUR})


async def _breakdown(request: Request, session: Session) -> Response:
    now, filters = datetime.now(UTC), Filters.from_query(request.query_params)
    project, groups = await project_of(request), read_groups(request.query_params.get("by", ""))
    query = filters.query(project.id, groups, now)
    report = await in_store(request, lambda store: store.usage(query))
    rows = ordered(report)
    return render(
        request,
        "breakdown.html",
        session=session,
        filters=filters,
        periods=PERIODS,
        by=",".join(groups),
        groups=groups,
        choices=tuple(GroupBy),
        narrowing=FIELDS,
        only_names=all(group in FIELDS for group in groups),
        rows=rows[:_MOST_ROWS],
        left_out=max(0, len(rows) - _MOST_ROWS),
        totals=report.totals,
    )


async def _requests(request: Request, session: Session) -> Response:
    now, filters = datetime.now(UTC), Filters.from_query(request.query_params)
    project = await project_of(request)
    query = filters.query(project.id, (), now)
    after = request.query_params.get("after") or None
    events = await in_store(request, lambda store: store.events(query, after=after, limit=_PAGE + 1, newest_first=True))
    shown = events[:_PAGE]
    return render(
        request,
        "requests.html",
        session=session,
        filters=filters,
        periods=PERIODS,
        events=shown,
        after=after,
        older=shown[-1].event_id if len(events) > _PAGE else None,
    )


def read_groups(text: str) -> tuple[GroupBy, ...]:
    """Return what the URL groups by; names that are none are left out, and without any it is by room."""
    known = set(GroupBy)
    names = [name for name in dict.fromkeys(text.split(",")) if name in known]
    return tuple(GroupBy(name) for name in names) or (GroupBy.ROOM,)


def ordered(report: UsageReport) -> list[UsageRow]:
    """Return times newest first, and everything else with the highest cost first."""
    if _TIMES & set(report.by):
        return sorted(report.rows, key=lambda row: tuple(row.keys.values()), reverse=True)
    return sorted(report.rows, key=weight, reverse=True)


ROUTES = (page("/dashboard/usage", _breakdown), page("/dashboard/requests", _requests))
