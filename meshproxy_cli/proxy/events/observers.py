"""Who sees usage events once they are in the store: counters for `/metrics`, OpenTelemetry.

All in the shipper's process. Counting there and not on the request path costs a request nothing, and counts what the
ledger has.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from operator import itemgetter
from typing import Protocol, overload

from meshproxy_cli.proxy.metrics.families import Metric, MetricKind, Sample
from meshproxy_cli.proxy.usage.pricefile import OTHER_TIERS, STANDARD_TIERS
from meshproxy_cli.store.engine.eventrows import PLACES, EventRow, from_picodollars, to_event
from meshproxy_cli.store.events import UsageEvent

DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_MOST_MODELS = 200  # names come from requests: without a bound a client could grow `/metrics` without end
_OTHER = "other"
_DURATION_BUCKETS_MS = tuple(limit * 1000 for limit in DURATION_BUCKETS_S)
_KINDS = ("input", "cached_input", "cache_write", "cache_write", "output", "reasoning")
_group = itemgetter(PLACES["provider"], PLACES["model"], PLACES["outcome"])
_KNOWN_TIERS = STANDARD_TIERS | OTHER_TIERS
_tier = itemgetter(PLACES["service_tier"])
_cost, _duration = itemgetter(PLACES["cost"]), itemgetter(PLACES["duration_ms"])
_TOKENS = tuple(
    itemgetter(PLACES[name])
    for name in (
        "input_tokens",
        "cached_input_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "reasoning_tokens",
    )
)
Labels = tuple[str, ...]
_log = logging.getLogger(__name__)


class StoredEvents(Sequence[UsageEvent]):
    """A batch of events, made of their rows only for those who look at them."""

    def __init__(self, rows: Sequence[EventRow]) -> None:
        self.rows = rows

    @cached_property
    def _events(self) -> tuple[UsageEvent, ...]:
        return tuple(map(to_event, self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> UsageEvent: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[UsageEvent]: ...

    def __getitem__(self, place: int | slice) -> UsageEvent | Sequence[UsageEvent]:
        return self._events[place]


class Observer(Protocol):
    """Sees batches of events, priced and stored. Must not block for long, and never raise for a single event."""

    def observe(self, events: StoredEvents) -> None: ...


class RowSink(Protocol):
    """The part of the store that takes events, as rows."""

    def add_rows(self, rows: Iterable[EventRow]) -> int: ...


class ObservedSink:
    """Hands events to the store and, once they are safe there, to observers. An observer's failure is logged only."""

    def __init__(self, sink: RowSink, observers: Sequence[Observer]) -> None:
        self._sink = sink
        self._observers = observers

    def add_rows(self, rows: Iterable[EventRow]) -> int:
        """Store them; return how many are new. Raises what the store raises."""
        batch = StoredEvents(tuple(rows))
        added = self._sink.add_rows(batch.rows)
        for observer in self._observers:
            try:
                observer.observe(batch)
            except Exception:  # noqa: BLE001 (logged with its traceback; the events are safe)
                _log.exception("%s could not take %d events", type(observer).__name__, len(batch))
        return added


@dataclass(slots=True)
class _ModelTotals:
    tokens: list[int] = field(default_factory=lambda: [0] * len(_KINDS))
    priced: int = 0
    picodollars: int = 0
    unpriced: int = 0


class UsageCounters:
    """Tokens, dollars, outcomes and durations since the start of this process, as metrics."""

    def __init__(self) -> None:
        self._models: dict[Labels, _ModelTotals] = {}
        self._outcomes: Counter[Labels] = Counter()
        self._unknown_tiers: Counter[Labels] = Counter()
        self._durations = [0] * (len(_DURATION_BUCKETS_MS) + 1)
        self._milliseconds = 0.0

    def observe(self, events: StoredEvents) -> None:
        """Count a batch."""
        groups: dict[Labels, list[EventRow]] = {}
        for row in events.rows:
            groups.setdefault(_group(row), []).append(row)
        for (provider, model, outcome), rows in groups.items():
            self._outcomes[provider, outcome] += len(rows)
            if unknown := sum(tier not in _KNOWN_TIERS for tier in map(_tier, rows)):
                self._unknown_tiers[(provider,)] += unknown
            self._count(self._models.get((provider, model)) or self._totals(provider, model), rows)

    def families(self) -> tuple[Metric, ...]:
        """Return the metrics now. May be called from another thread than `observe`."""
        models = dict(self._models)
        return (
            _family(
                "answers_total", "Requests in the ledger, by how they ended.", ("provider", "outcome"), self._outcomes
            ),
            _family(
                "tokens_total",
                "Tokens: `input` includes `cached_input` and `cache_write`, `output` includes `reasoning`.",
                ("provider", "model", "kind"),
                {(*model, kind): number for model, one in models.items() for kind, number in _by_kind(one.tokens)},
            ),
            _family(
                "cost_usd_total",
                "US dollars in the ledger.",
                ("provider", "model"),
                {model: from_picodollars(one.picodollars) for model, one in models.items() if one.priced},
            ),
            _family(
                "unpriced_requests_total",
                "Requests with tokens whose model has no known price.",
                ("provider", "model"),
                {model: one.unpriced for model, one in models.items() if one.unpriced},
            ),
            _family(
                "unknown_service_tier_requests_total",
                "Requests served at a tier that is not known, priced as standard.",
                ("provider",),
                self._unknown_tiers,
            ),
            histogram(
                "request_duration_seconds",
                "From request to the answer's last byte.",
                DURATION_BUCKETS_S,
                tuple(self._durations),
                self._milliseconds / 1000,
            ),
        )

    def _count(self, totals: _ModelTotals, rows: Sequence[EventRow]) -> None:
        for place, column in enumerate(_TOKENS):
            totals.tokens[place] += sum(map(column, rows))
        costs = [cost for cost in map(_cost, rows) if cost is not None]
        totals.priced += len(costs)
        totals.picodollars += sum(costs)
        if len(costs) < len(rows):
            totals.unpriced += sum(_cost(row) is None and any(column(row) for column in _TOKENS) for row in rows)
        durations = list(map(_duration, rows))
        self._milliseconds += sum(durations)
        for duration in durations:
            self._durations[bisect_left(_DURATION_BUCKETS_MS, duration)] += 1

    def _totals(self, provider: str, model: str) -> _ModelTotals:
        if len(self._models) >= _MOST_MODELS:
            model = _OTHER
        return self._models.setdefault((provider, model), _ModelTotals())


def _by_kind(tokens: Sequence[int]) -> Iterator[tuple[str, int]]:
    sums: Counter[str] = Counter()
    for kind, number in zip(_KINDS, tokens, strict=True):
        sums[kind] += number
    return ((kind, number) for kind, number in sums.items() if number)


def histogram(name: str, text: str, limits: Sequence[float], counts: Sequence[int], total: float) -> Metric:
    """Return a histogram; `counts` has one number for each limit and one for what is above."""
    sums = tuple(accumulate(counts))
    names = [*(f"{limit:g}" for limit in limits), "+Inf"]
    buckets = [Sample(number, (("le", limit),), "_bucket") for limit, number in zip(names, sums, strict=True)]
    return Metric(
        name, MetricKind.HISTOGRAM, text, (*buckets, Sample(total, (), "_sum"), Sample(sums[-1], (), "_count"))
    )


def _family(name: str, text: str, labels: tuple[str, ...], counts: Mapping[Labels, int | Decimal]) -> Metric:
    samples = sorted(dict(counts).items())
    return Metric(
        name,
        MetricKind.COUNTER,
        text,
        tuple(Sample(float(value), tuple(zip(labels, key, strict=True))) for key, value in samples),
    )
