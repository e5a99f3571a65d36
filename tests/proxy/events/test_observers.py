"""Events as they are counted and exported, once they are in the store."""

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fixtures.usage import usage_event
from meshproxy_cli.proxy.admin.metrics import render
from meshproxy_cli.proxy.events.observers import ObservedSink, StoredEvents, UsageCounters
from meshproxy_cli.proxy.events.telemetry import OpenTelemetry, open_telemetry, operation
from meshproxy_cli.store.engine.eventrows import EventRow, to_row
from meshproxy_cli.store.errors import StoreUnavailableError
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

STARTED = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def event(**changes: Any) -> UsageEvent:
    values: dict[str, Any] = {
        "event_id": "e1", "request_id": "r1", "started_at": STARTED, "project_id": "p", "room": "backend",
        "session": "codex-ana", "participant": "ana", "key_id": "k", "agent": "codex_exec", "provider": "openai",
        "endpoint": "/v1/responses", "method": "POST", "streamed": True, "status": 200, "outcome": Outcome.OK,
        "model_requested": "gpt-5", "model_served": "gpt-5.4", "cost_usd": Decimal("0.1"), "duration_ms": 1500.0,
        "ttfb_ms": 250.0,
        "tokens": TokenCounts(input_tokens=1000, cached_input_tokens=600, output_tokens=50, reasoning_tokens=20),
    }  # fmt: skip
    return UsageEvent(**values | changes)


def stored(*events: UsageEvent) -> StoredEvents:
    return StoredEvents([to_row(one) for one in events])


class Sink:
    def __init__(self, *, away: bool = False) -> None:
        self.stored: list[EventRow] = []
        self.away = away

    def add_rows(self, rows: Iterable[EventRow]) -> int:
        if self.away:
            raise StoreUnavailableError("away")
        self.stored += rows
        return len(self.stored)


def test_events_are_made_of_rows_for_those_who_look() -> None:
    events = (event(), event(event_id="e2", error="x"))
    batch = stored(*events)
    assert (len(batch), batch[1], tuple(batch)) == (2, events[1], events)


class Broken:
    def observe(self, events: Sequence[UsageEvent]) -> None:
        raise RuntimeError("exporter")


def test_observers_see_what_was_stored_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    counters = UsageCounters()
    sink = Sink()
    with caplog.at_level(logging.ERROR):
        assert ObservedSink(sink, (Broken(), counters)).add_rows(map(to_row, [event()])) == 1
    assert "Broken could not take 1 events" in caplog.text
    assert sink.stored == [to_row(event())]
    assert 'meshproxy_answers_total{provider="openai",outcome="ok"} 1' in render(counters.families())
    with pytest.raises(StoreUnavailableError):
        ObservedSink(Sink(away=True), (counters,)).add_rows([to_row(event())])
    assert 'outcome="ok"} 1' in render(counters.families())


def test_counters() -> None:
    counters = UsageCounters()
    failed = {"outcome": Outcome.PROVIDER_ERROR, "tokens": TokenCounts(), "cost_usd": None, "model_served": ""}
    counters.observe(
        stored(event(), event(duration_ms=400_000.0), event(model_served="?", cost_usd=None), event(**failed))
    )
    lines = render(counters.families()).splitlines()
    for line in (
        'meshproxy_tokens_total{provider="openai",model="gpt-5.4",kind="input"} 2000',
        'meshproxy_tokens_total{provider="openai",model="gpt-5.4",kind="cached_input"} 1200',
        'meshproxy_cost_usd_total{provider="openai",model="gpt-5.4"} 0.2',
        'meshproxy_unpriced_requests_total{provider="openai",model="?"} 1',
        'meshproxy_answers_total{provider="openai",outcome="provider_error"} 1',
        'meshproxy_request_duration_seconds_bucket{le="1"} 0',
        'meshproxy_request_duration_seconds_bucket{le="2.5"} 3',
        'meshproxy_request_duration_seconds_bucket{le="600"} 4',
        'meshproxy_request_duration_seconds_bucket{le="+Inf"} 4',
        "meshproxy_request_duration_seconds_sum 404.5",
    ):
        assert line in lines, line
    assert not any(line.startswith("meshproxy_cost") and 'model="?"' in line for line in lines)


def test_names_from_requests_cannot_fill_the_metrics() -> None:
    counters = UsageCounters()
    counters.observe(stored(*(event(model_served=f"model-{number}") for number in range(1000))))
    text = render(counters.families())
    assert text.count('kind="input"') == 201
    assert 'model="other",kind="input"} 800000' in text


@pytest.mark.parametrize(
    "environ", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
                {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"}],
)  # fmt: skip
def test_telemetry_is_off_where_it_is_not_configured(environ: dict[str, str]) -> None:
    assert open_telemetry(environ) is None


def test_telemetry_without_its_packages_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)
    with caplog.at_level(logging.WARNING):
        assert open_telemetry({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is None
    assert "meshproxy[otel]" in caplog.text


def test_names_from_outside_label_a_bounded_number_of_series() -> None:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    reader = InMemoryMetricReader()
    telemetry = OpenTelemetry(reader, SimpleSpanProcessor(InMemorySpanExporter()))
    telemetry.observe([event(model_requested=f"m{number}") for number in range(1000)])
    data: Any = reader.get_metrics_data()
    points = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert len({dict(point.attributes)["gen_ai.request.model"] for point in points}) <= 201
    telemetry.close()


def test_spans_and_metrics_follow_the_conventions() -> None:
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415

    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    telemetry = OpenTelemetry(reader, SimpleSpanProcessor(exporter))
    telemetry.observe([event(), event(outcome=Outcome.PROVIDER_ERROR, error="overloaded_error", status=529)])
    good, bad = exporter.get_finished_spans()
    assert (good.name, good.kind.name) == ("chat gpt-5", "CLIENT")
    assert (good.start_time, good.end_time - good.start_time) == (int(STARTED.timestamp()) * 10**9, 1_500_000_000)
    attributes = dict(good.attributes or {})
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.conversation.id"] == "codex-ana"
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (1000, 50)
    assert (attributes["gen_ai.request.model"], attributes["gen_ai.response.model"]) == ("gpt-5", "gpt-5.4")
    assert "error.type" not in attributes
    assert (bad.status.status_code.name, dict(bad.attributes or {})["error.type"]) == ("ERROR", "overloaded_error")
    data = reader.get_metrics_data()
    assert data is not None
    (resource,) = data.resource_metrics
    assert resource.resource.attributes["service.name"] == "meshproxy"
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    usage: Any = metrics["gen_ai.client.token.usage"]
    assert usage.unit == "{token}"
    sums = {(dict(point.attributes)["gen_ai.token.type"], "error.type" in point.attributes): point.sum
            for point in usage.data.data_points}  # fmt: skip
    assert sums[("input", False)] == 1000
    assert sums[("output", False)] == 50
    assert "gen_ai.client.operation.duration" in metrics
    telemetry.close()


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [("/v1/messages", "chat"), ("/v1/embeddings", "embeddings"), ("/v1/images/generations", "generations")],
)
def test_operations(endpoint: str, name: str) -> None:
    assert operation(endpoint) == name


def test_requests_at_a_tier_that_is_not_known_are_counted() -> None:
    counters = UsageCounters()
    tiers = ("on_demand", "flex", "", "on_demand")
    counters.observe(StoredEvents([to_row(usage_event(provider="groq", service_tier=tier)) for tier in tiers]))
    found = {family.name: family.samples for family in counters.families()}
    assert [sample.value for sample in found["unknown_service_tier_requests_total"]] == [2]
