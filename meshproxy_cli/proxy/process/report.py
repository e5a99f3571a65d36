"""The numbers of a worker and of the shipper as metric families, for `/metrics` and the dashboard."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from meshproxy_cli.proxy.admin.services import Metric, MetricKind, Sample
from meshproxy_cli.proxy.events.observers import histogram
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.shipper import Shipper
from meshproxy_cli.proxy.events.spool import Spool, segments
from meshproxy_cli.proxy.metrics.counters import TTFB_BUCKETS_S

if TYPE_CHECKING:
    from meshproxy_cli.proxy.request.gateway import Gateway


def metric_families(gateway: "Gateway", ledger: Ledger, spool: Spool) -> tuple[Metric, ...]:
    """Return a worker's families with their values now."""
    metrics = gateway.metrics
    requests = tuple(
        Sample(number, (("provider", provider), ("endpoint", endpoint), ("status", str(status))))
        for (provider, endpoint, status), number in sorted(metrics.requests.items())
    )
    refusals = tuple(Sample(number, (("code", code),)) for code, number in sorted(metrics.refusals.items()))
    retries = tuple(Sample(number, (("reason", reason),)) for reason, number in sorted(metrics.retries.items()))
    return (
        Metric("requests_total", MetricKind.COUNTER, "Requests of authenticated callers.", requests),
        Metric("refusals_total", MetricKind.COUNTER, "Requests that the proxy refused, by code.", refusals),
        Metric("retries_total", MetricKind.COUNTER, "Requests that were sent once more.", retries),
        _gauge("active_requests", "Requests under way.", len(gateway.exchanges)),
        _gauge("client_connections", "Open connections of clients.", len(gateway.connections)),
        _gauge("idle_provider_connections", "Provider connections kept for later.", gateway.pool.idle_count),
        _counter("usage_events_total", "Usage events recorded.", ledger.counters.events),
        _counter("unmetered_requests_total", "Answers that could not be metered.", ledger.counters.unmetered),
        _counter("estimated_requests_total", "Answers whose usage is an estimate.", ledger.counters.estimated),
        _counter("spool_write_errors_total", "Writes that the spool's disk refused.", spool.counters.write_errors),
        _counter("lost_events_total", "Events for which there was no room.", spool.counters.lost),
        _ttfb(gateway),
    )


def shipping_families(directory: Path, shipper: Shipper) -> tuple[Metric, ...]:
    """Return the shipper's families with their values now; `directory` is the spool's."""
    return (
        _counter("shipped_events_total", "Events moved to the store.", shipper.counters.shipped),
        _counter("rejected_events_total", "Events that the store refused for good.", shipper.counters.rejected),
        _gauge("spool_backlog_bytes", "Usage that waits to be moved to the store.", _backlog(directory)),
    )


def _backlog(directory: Path) -> int:
    size = 0
    for path in segments(directory):
        with suppress(FileNotFoundError):  # shipped just now
            size += path.stat().st_size
    return size


def _gauge(name: str, text: str, value: float) -> Metric:
    return Metric(name, MetricKind.GAUGE, text, (Sample(value),))


def _counter(name: str, text: str, value: float) -> Metric:
    return Metric(name, MetricKind.COUNTER, text, (Sample(value),))


def _ttfb(gateway: "Gateway") -> Metric:
    counts, total = gateway.metrics.ttfb_counts, gateway.metrics.ttfb_sum_s
    return histogram("time_to_first_byte_seconds", "From request to first byte.", TTFB_BUCKETS_S, counts, total)
