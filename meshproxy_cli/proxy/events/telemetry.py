"""OpenTelemetry (extra `otel`): usage as metrics and spans, where an OTLP endpoint is configured. Never any content.

Names are those of the GenAI semantic conventions (opentelemetry.io/docs/specs/semconv/gen-ai); what they have no name
for is `meshproxy.*`. Endpoint, headers, service name and sampling are the SDK's own variables (`OTEL_…`).
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from meshproxy_cli import __version__
from meshproxy_cli.store.events import Outcome, UsageEvent

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.trace import SpanProcessor

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_SCOPE = "meshproxy"
_SERVICE = "meshproxy"
_OPERATIONS = {
    "/v1/responses": "chat",
    "/v1/chat/completions": "chat",
    "/v1/messages": "chat",
    "/v1/complete": "text_completion",
    "/v1/embeddings": "embeddings",
}
# The boundaries that the conventions ask for.
_TOKEN_BUCKETS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_SECOND_BUCKETS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_log = logging.getLogger(__name__)

Attributes = dict[str, str | int | float | bool]


class Telemetry(Protocol):
    """Exports events in the background; `close` sends what is left."""

    def observe(self, events: Sequence[UsageEvent]) -> None: ...

    def close(self) -> None: ...


def open_telemetry(environ: Mapping[str, str]) -> Telemetry | None:
    """Return the exporter where the environment names an OTLP endpoint, else None.

    Where the packages are missing that is logged, and the server goes on without.
    """
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(environ.get(name) for name in _ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError as problem:
        _log.warning("OpenTelemetry is configured, but %s is missing: pip install 'meshproxy[otel]'", problem.name)
        return None
    return OpenTelemetry(PeriodicExportingMetricReader(OTLPMetricExporter()), BatchSpanProcessor(OTLPSpanExporter()))


class OpenTelemetry:
    """Turns events into spans and metrics for the given SDK parts."""

    def __init__(self, reader: "MetricReader", processor: "SpanProcessor") -> None:
        from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 (the extra `otel`)
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

        own = Resource({"service.name": _SERVICE, "service.version": __version__})
        resource = own.merge(OTELResourceDetector().detect())
        self._meters = MeterProvider(metric_readers=[reader], resource=resource)
        self._tracers = TracerProvider(resource=resource)
        self._tracers.add_span_processor(processor)
        self._tracer = self._tracers.get_tracer(_SCOPE, __version__)
        self._kind, self._failed = SpanKind.CLIENT, Status(StatusCode.ERROR)
        meter = self._meters.get_meter(_SCOPE, __version__)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens used",
            explicit_bucket_boundaries_advisory=_TOKEN_BUCKETS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Duration of an operation",
            explicit_bucket_boundaries_advisory=_SECOND_BUCKETS,
        )
        self._cost = meter.create_counter("meshproxy.cost", "{USD}", "Cost of requests with a known price")

    def observe(self, events: Sequence[UsageEvent]) -> None:
        """Record a batch."""
        for event in events:
            self._measure(event)
            self._trace(event)

    def close(self) -> None:
        """Send what is left, and stop."""
        self._meters.shutdown()
        self._tracers.shutdown()

    def _measure(self, event: UsageEvent) -> None:
        attributes = _metric_attributes(event)
        self._duration.record(event.duration_ms / 1000, attributes)
        for kind, number in (("input", event.tokens.input_tokens), ("output", event.tokens.output_tokens)):
            if number:
                self._tokens.record(number, attributes | {"gen_ai.token.type": kind})
        if event.cost_usd is not None:
            self._cost.add(float(event.cost_usd), attributes | {"meshproxy.room": event.room})

    def _trace(self, event: UsageEvent) -> None:
        end = event.started_at + timedelta(milliseconds=event.duration_ms)
        span = self._tracer.start_span(
            f"{operation(event.endpoint)} {event.model_requested}".strip(),
            kind=self._kind,
            start_time=_nanoseconds(event.started_at),
            attributes=_span_attributes(event),
        )
        if event.outcome is not Outcome.OK:
            span.set_status(self._failed)
        span.end(_nanoseconds(end))


def operation(endpoint: str) -> str:
    """Return the conventions' name of what a provider's path does, or its last part where they have none."""
    return _OPERATIONS.get(endpoint) or endpoint.rstrip("/").rpartition("/")[2]


def _metric_attributes(event: UsageEvent) -> Attributes:
    attributes: Attributes = {
        "gen_ai.operation.name": operation(event.endpoint),
        "gen_ai.provider.name": event.provider,
        "gen_ai.request.model": event.model_requested,
        "gen_ai.response.model": event.model_served,
    }
    if event.outcome is not Outcome.OK:
        attributes["error.type"] = event.error or event.outcome.value
    return {name: value for name, value in attributes.items() if value}


def _span_attributes(event: UsageEvent) -> Attributes:
    tokens = event.tokens
    attributes: Attributes = {
        "gen_ai.conversation.id": event.session,
        "gen_ai.usage.input_tokens": tokens.input_tokens,
        "gen_ai.usage.output_tokens": tokens.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": tokens.cached_input_tokens,
        "gen_ai.usage.cache_creation.input_tokens": tokens.cache_write_tokens,
        "http.response.status_code": event.status,
        "user_agent.name": event.agent,
        "meshproxy.event_id": event.event_id,
        "meshproxy.request_id": event.request_id,
        "meshproxy.room": event.room,
        "meshproxy.participant": event.participant,
        "meshproxy.outcome": event.outcome.value,
        "meshproxy.estimated": event.estimated,
    }
    if event.ttfb_ms is not None:
        attributes["meshproxy.time_to_first_byte_ms"] = event.ttfb_ms
    if event.cost_usd is not None:
        attributes["meshproxy.cost_usd"] = float(event.cost_usd)
    return _metric_attributes(event) | attributes


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
