"""Who sees usage events once they are in the store: counters for `/metrics`, OpenTelemetry.

All in the shipper's thread. Counting there and not on the request path costs a request nothing, and counts what the
ledger has.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Protocol

from meshproxy_cli.proxy.web.services import Metric, MetricKind, Sample
from meshproxy_cli.store.events import UsageEvent

DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_MOST_MODELS = 200  # names come from requests: without a bound a client could grow `/metrics` without end
_OTHER = "other"
Labels = tuple[str, ...]
_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Sees batches of events, priced and stored. Must not block for long, and never raise for a single event."""

    def observe(self, events: Sequence[UsageEvent]) -> None: ...


class EventSink(Protocol):
    """The part of the store that takes events."""

    def add_events(self, events: Iterable[UsageEvent]) -> int: ...


class ObservedSink:
    """Hands events to the store and, once they are safe there, to observers. An observer's failure is logged only."""

    def __init__(self, sink: EventSink, observers: Sequence[Observer]) -> None:
        self._sink = sink
        self._observers = observers

    def add_events(self, events: Iterable[UsageEvent]) -> int:
        """Store them; return how many are new. Raises what the store raises."""
        batch = tuple(events)
        added = self._sink.add_events(batch)
        for observer in self._observers:
            try:
                observer.observe(batch)
            except Exception:  # noqa: BLE001 (logged with its traceback; the events are safe)
                _log.exception("%s could not take %d events", type(observer).__name__, len(batch))
        return added


class UsageCounters:
    """Tokens, dollars, outcomes and durations since the start of this worker, as metrics."""

    def __init__(self) -> None:
        self._models: set[tuple[str, str]] = set()
        self._tokens: Counter[Labels] = Counter()
        self._cost: dict[Labels, Decimal] = {}
        self._unpriced: Counter[Labels] = Counter()
        self._outcomes: Counter[Labels] = Counter()
        self._durations = [0] * (len(DURATION_BUCKETS_S) + 1)
        self._seconds = 0.0

    def observe(self, events: Sequence[UsageEvent]) -> None:
        """Count a batch."""
        for event in events:
            self._count(event)

    def families(self) -> tuple[Metric, ...]:
        """Return the metrics now. May be called from another thread than `observe`."""
        return (
            _family(
                "answers_total", "Requests in the ledger, by how they ended.", ("provider", "outcome"), self._outcomes
            ),
            _family(
                "tokens_total",
                "Tokens: `input` includes `cached_input` and `cache_write`, `output` includes `reasoning`.",
                ("provider", "model", "kind"),
                self._tokens,
            ),
            _family("cost_usd_total", "US dollars in the ledger.", ("provider", "model"), self._cost),
            _family(
                "unpriced_requests_total",
                "Requests with tokens whose model has no known price.",
                ("provider", "model"),
                self._unpriced,
            ),
            histogram(
                "request_duration_seconds",
                "From request to the answer's last byte.",
                DURATION_BUCKETS_S,
                tuple(self._durations),
                self._seconds,
            ),
        )

    def _count(self, event: UsageEvent) -> None:
        tokens, model = event.tokens, self._model(event)
        kinds = {
            "input": tokens.input_tokens,
            "cached_input": tokens.cached_input_tokens,
            "cache_write": tokens.cache_write_tokens,
            "output": tokens.output_tokens,
            "reasoning": tokens.reasoning_tokens,
        }
        for kind, number in kinds.items():
            if number:
                self._tokens[*model, kind] += number
        if event.cost_usd is not None:
            self._cost[model] = self._cost.get(model, Decimal(0)) + event.cost_usd
        elif tokens.input_tokens or tokens.output_tokens:
            self._unpriced[model] += 1
        self._outcomes[event.provider, event.outcome.value] += 1
        self._durations[bisect_left(DURATION_BUCKETS_S, event.duration_ms / 1000)] += 1
        self._seconds += event.duration_ms / 1000

    def _model(self, event: UsageEvent) -> tuple[str, str]:
        model = (event.provider, event.model_served or event.model_requested)
        if model in self._models or len(self._models) < _MOST_MODELS:
            self._models.add(model)
            return model
        return event.provider, _OTHER


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
