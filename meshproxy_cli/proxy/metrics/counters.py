"""Counters of the request path: plain numbers, read by `/metrics` and the dashboard."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

TTFB_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


@dataclass(slots=True)
class Metrics:
    """What one worker has done since its start."""

    requests: Counter[tuple[str, str, int]] = field(default_factory=Counter)  # by provider, endpoint, status
    refusals: Counter[str] = field(default_factory=Counter)  # by code
    retries: Counter[str] = field(default_factory=Counter)  # by reason
    active: int = 0
    websockets: int = 0
    client_bytes: int = 0
    provider_bytes: int = 0
    ttfb_counts: list[int] = field(default_factory=lambda: [0] * (len(TTFB_BUCKETS_S) + 1))
    ttfb_sum_s: float = 0.0

    def refused(self, code: str) -> None:
        """Count a refusal of ours."""
        self.refusals[code] += 1

    def first_byte(self, seconds: float) -> None:
        """Count how long a provider took for the first byte of an answer."""
        self.ttfb_counts[bisect_left(TTFB_BUCKETS_S, seconds)] += 1
        self.ttfb_sum_s += seconds
