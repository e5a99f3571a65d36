"""The filters that every usage page has, as they stand in its URL: `?period=7d&room=backend&model=gpt-5.4`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from meshproxy_cli.store.records import GroupBy, UsageQuery
from meshproxy_cli.store.wire import time_from_text

PERIODS = {
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
    "90d": ("Last 90 days", timedelta(days=90)),
    "all": ("All time", None),
}
DEFAULT_PERIOD = "7d"
FIELDS = ("room", "session", "participant", "model", "provider")
_HOURLY_UP_TO = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a page shows: a period (a name of `PERIODS`, or `since` and `until` as dates) and names; "" is any."""

    period: str = DEFAULT_PERIOD
    since: str = ""
    until: str = ""
    room: str = ""
    session: str = ""
    participant: str = ""
    model: str = ""
    provider: str = ""

    @classmethod
    def from_query(cls, given: Mapping[str, str]) -> "Filters":
        """Read a URL's query; what makes no sense is left out."""
        names = {name: given.get(name, "").strip() for name in FIELDS}
        since, until = _date(given.get("since", "")), _date(given.get("until", ""))
        period = given.get("period", DEFAULT_PERIOD)
        if since or until:
            period = ""
        elif period not in PERIODS:
            period = DEFAULT_PERIOD
        return cls(period=period, since=since, until=until, **names)

    def query(self, project_id: str, by: tuple[GroupBy, ...], now: datetime) -> UsageQuery:
        """Return the store's query."""
        since, until = self.span(now)
        names = {name: getattr(self, name) or None for name in FIELDS}
        return UsageQuery(project_id=project_id, since=since, until=until, by=by, **names)

    def span(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """Return the time meant; `until` as a date includes that day."""
        if self.period:
            length = PERIODS[self.period][1]
            return (_start(now, length) if length else None), None
        since = time_from_text(self.since) if self.since else None
        until = time_from_text(self.until) + timedelta(days=1) if self.until else None
        return since, until

    def bucket(self, now: datetime) -> GroupBy:
        """Return what a chart's column stands for: an hour for up to three days, else a day."""
        since, until = self.span(now)
        if since is None:
            return GroupBy.DAY
        return GroupBy.HOUR if (until or now) - since <= _HOURLY_UP_TO else GroupBy.DAY

    def url(self, path: str, **changes: str) -> str:
        """Return a link to `path` with these filters and `changes`; those at their default are left out."""
        own = {name: value for name, value in changes.items() if hasattr(self, name)}
        if "period" in own:
            own |= {"since": "", "until": ""}
        target = replace(self, **own)
        fields = {name: getattr(target, name) for name in ("period", "since", "until", *FIELDS)}
        kept = {name: value for name, value in fields.items() if value}
        if kept.get("period") == DEFAULT_PERIOD:
            del kept["period"]
        kept |= {name: value for name, value in changes.items() if name not in own and value}
        return f"{path}?{urlencode(kept)}" if kept else path

    @property
    def active(self) -> tuple[tuple[str, str], ...]:
        """Return the names that narrow the page, as (field, value)."""
        return tuple((name, getattr(self, name)) for name in FIELDS if getattr(self, name))

    @property
    def period_title(self) -> str:
        """Return the period in words."""
        if self.period:
            return PERIODS[self.period][0]
        return f"{self.since or 'the beginning'} to {self.until or 'today'}"


def _start(now: datetime, length: timedelta) -> datetime:
    """Return the start of the bucket in which the period begins, so that no column is cut."""
    start = now.astimezone(UTC) - length
    start = start.replace(minute=0, second=0, microsecond=0)
    return start + timedelta(hours=1) if length <= _HOURLY_UP_TO else start.replace(hour=0) + timedelta(days=1)


def _date(text: str) -> str:
    try:
        return f"{time_from_text(text):%Y-%m-%d}" if text else ""
    except ValueError:
        return ""
