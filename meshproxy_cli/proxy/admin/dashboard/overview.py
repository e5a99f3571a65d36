"""The first page: what was used and what it cost, over time and by room, session, participant and model."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from anyio import create_task_group
from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import in_store
from meshproxy_cli.proxy.admin.dashboard import charts, figures
from meshproxy_cli.proxy.admin.dashboard.charts import Chart
from meshproxy_cli.proxy.admin.dashboard.filters import PERIODS, Filters
from meshproxy_cli.proxy.admin.dashboard.pages import page, project_of, render
from meshproxy_cli.proxy.admin.dashboard.sessions import Session
from meshproxy_cli.store.records import GroupBy, UsageQuery, UsageReport, UsageRow, UsageTotals
from meshproxy_cli.store.wire import add_up

TOP = 6
_SERIES = 5
_OTHERS = "others"
_LISTS = (
    (GroupBy.ROOM, "Rooms"),
    (GroupBy.MODEL, "Models"),
    (GroupBy.SESSION, "Sessions"),
    (GroupBy.PARTICIPANT, "Participants"),
)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The most expensive groups of one kind; `share` is of the greatest one, 0 to 100."""

    group: GroupBy
    title: str
    rows: tuple[tuple[UsageRow, float], ...]
    more: int


async def _overview(request: Request, session: Session) -> Response:
    now, filters = datetime.now(UTC), Filters.from_query(request.query_params)
    project = await project_of(request)
    unit = filters.bucket(now)
    reports: dict[GroupBy, UsageReport] = {}

    async def fetch(key: GroupBy, query: UsageQuery) -> None:
        reports[key] = await in_store(request, lambda store: store.usage(query))

    async with create_task_group() as tasks:
        tasks.start_soon(fetch, unit, filters.query(project.id, (unit, GroupBy.MODEL), now))
        for group, _ in _LISTS:
            tasks.start_soon(fetch, group, filters.query(project.id, (group,), now))
    over_time = reports[unit]
    since, until = filters.span(now)
    keys = charts.buckets(unit, since, until or now, [row.keys[unit.value] for row in over_time.rows])
    return render(
        request,
        "overview.html",
        session=session,
        filters=filters,
        periods=PERIODS,
        unit=unit.value,
        totals=over_time.totals,
        cost_chart=cost_chart(over_time, unit, keys),
        token_chart=token_chart(over_time, unit, keys),
        rankings=tuple(ranking(reports[group], group, title) for group, title in _LISTS),
    )


def cost_chart(report: UsageReport, unit: GroupBy, keys: tuple[str, ...]) -> Chart:
    """Cost over time, stacked by model; the cheaper ones together as "others"."""
    by_model: dict[str, Decimal] = defaultdict(Decimal)
    for row in report.rows:
        by_model[row.keys["model"]] += row.totals.cost_usd or 0
    ranked = sorted(by_model, key=lambda model: (-by_model[model], model))
    shown = ranked[:_SERIES] if len(ranked) > _SERIES + 1 else ranked
    series = [*shown, *([_OTHERS] if len(shown) < len(ranked) else [])]
    place = {model: min(index, len(series) - 1) for index, model in enumerate(ranked)}
    cells = {key: [Decimal(0)] * len(series) for key in keys}
    for row in report.rows:
        cell = cells.get(row.keys[unit.value])
        if cell is not None:
            cell[place[row.keys["model"]]] += row.totals.cost_usd or 0
    names = [model or "no model" for model in series]
    return charts.columns(keys, names, list(cells.values()), axis=_axis_dollars, exact=_table_dollars)


def token_chart(report: UsageReport, unit: GroupBy, keys: tuple[str, ...]) -> Chart:
    """Tokens over time: input that was new, input from a cache, output."""
    groups: dict[str, list[UsageTotals]] = defaultdict(list)
    for row in report.rows:
        groups[row.keys[unit.value]].append(row.totals)
    rows = []
    for key in keys:
        sums = add_up(groups[key])
        rows.append((sums.input_tokens - sums.cached_input_tokens, sums.cached_input_tokens, sums.output_tokens))
    names = ("Input", "Input from cache", "Output")
    return charts.columns(keys, names, rows, axis=lambda value: figures.compact(float(value)), exact=_table_count)


def ranking(report: UsageReport, group: GroupBy, title: str) -> Ranking:
    """Return the groups with the highest cost (then most tokens) first."""
    rows = sorted(report.rows, key=weight, reverse=True)
    by_cost = any(row.totals.cost_usd for row in rows)
    sizes = [float(row.totals.cost_usd or 0) if by_cost else float(_tokens(row)) for row in rows[:TOP]]
    largest = max(sizes, default=0) or 1
    shown = tuple((row, round(100 * size / largest, 2)) for row, size in zip(rows, sizes, strict=False))
    return Ranking(group, title, shown, max(0, len(rows) - TOP))


def weight(row: UsageRow) -> tuple[Decimal, int, int]:
    """Return what ranks a group: its cost, then its tokens, then its requests."""
    return row.totals.cost_usd or Decimal(0), _tokens(row), row.totals.requests


def _tokens(row: UsageRow) -> int:
    return row.totals.input_tokens + row.totals.output_tokens


def _axis_dollars(value: charts.Number) -> str:
    return f"${figures.compact(float(value))}"


def _table_dollars(value: charts.Number) -> str:
    return f"${figures.exact(Decimal(value))}"


def _table_count(value: charts.Number) -> str:
    return figures.count(int(value))


ROUTES = (page("/dashboard", _overview),)
