"""Metric families as `/metrics` shows them. Light to import."""

import enum
from dataclasses import dataclass


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
