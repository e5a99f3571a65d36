"""What the web side is handed by the server that hosts it. Light to import: neither Starlette nor Jinja."""

import enum
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from meshproxy_cli.store.base import Store

# The first path segments that belong to the web side; "" is the root, which leads to the dashboard.
WEB_SEGMENTS = frozenset({"", "accounts", "dashboard", "metrics", "healthz", "readyz", "openapi.json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSummary:
    """A configured provider as pages and `/status` show it: never with a key."""

    name: str
    protocol: str  # "openai" or "anthropic"
    base_url: str


class MetricKind(enum.StrEnum):
    """The metric types of the Prometheus text format that are used here."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric; `suffix` is "_bucket", "_sum" or "_count" in histograms."""

    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric family: its name without `meshproxy_` (counters with `_total`), what it says, and its samples now."""

    name: str
    kind: MetricKind
    help: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """`reasons` say in words what is amiss, none means ready; `ending`: it takes no more requests."""

    reasons: tuple[str, ...] = ()
    ending: bool = False


def _no_metrics() -> Iterable[Metric]:
    return ()


def _healthy() -> Health:
    return Health()


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebServices:
    """Everything that the web side uses.

    `store` and `metrics` may block and are called in a thread pool only; the other callables run on the event loop and
    must not block. `control_changed` is called after a change of keys, rooms or limits, so that this worker's directory
    is refreshed at once and not at the next poll. `session_key` signs the dashboard's cookies: the same in all workers
    and replicas, else a login holds at one of them only.
    """

    store: Store
    version: str
    started_at: datetime
    public_url: str
    providers: tuple[ProviderSummary, ...] = ()
    metrics: Callable[[], Iterable[Metric]] = field(default=_no_metrics)
    health: Callable[[], Health] = field(default=_healthy)
    session_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    streams_open: Callable[[], int] = field(default=int)
    control_changed: Callable[[], None] = field(default=_nothing)
    metrics_open: bool = False  # /metrics without a token: for a listener of its own, or a closed network
