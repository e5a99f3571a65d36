"""Metrics of all processes of one machine: each writes its own into a file every second, any worker shows them all.

Series have the label `worker`: a worker that is started again begins at zero, which Prometheus takes for what it is
only where its series are its own.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import msgspec

from meshproxy_cli.proxy.admin.services import Metric

WORKERS = "workers"  # the directory below the spool
_EVERY_S = 1.0
_STALE_S = 10.0


class Snapshot(msgspec.Struct, frozen=True):
    """What a worker, or the shipper, tells the others; `worker` is its number, or its name."""

    worker: int | str
    written_at: float
    streams_open: int
    metrics: tuple[Metric, ...] = ()


_decoder = msgspec.json.Decoder(Snapshot)


class Peers:
    """This worker and its siblings, which share `directory`."""

    def __init__(self, directory: Path, worker: int | str) -> None:
        self._directory = directory
        self._worker = worker
        self._written = 0.0
        self._path = directory / f"{worker}.json"

    def publish(self, metrics: Callable[[], Iterable[Metric]], streams_open: int, *, now: float | None = None) -> None:
        """Write this worker's numbers down for the others, once a second at most. Raises `OSError`."""
        moment = time.time() if now is None else now
        if moment - self._written < _EVERY_S:
            return
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = self._path.with_suffix(f".{os.getpid()}.partial")
        snapshot = Snapshot(self._worker, moment, streams_open, tuple(metrics()))
        partial.write_bytes(msgspec.json.encode(snapshot))
        partial.replace(self._path)
        self._written = moment

    def withdraw(self) -> None:
        """Take this worker's numbers away: it ends."""
        self._path.unlink(missing_ok=True)

    def others(self, *, now: float | None = None) -> tuple[Snapshot, ...]:
        """Return what living siblings wrote last; nothing of those that died."""
        moment = time.time() if now is None else now
        found = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                snapshot = _decoder.decode(path.read_bytes())
            except (OSError, msgspec.MsgspecError):
                continue  # it ended just now
            if snapshot.worker != self._worker and moment - snapshot.written_at < _STALE_S:
                found.append(snapshot)
        return tuple(found)

    def merged(self, own: Iterable[Metric]) -> tuple[Metric, ...]:
        """Return this worker's metrics and its siblings', one family each, told apart by the label `worker`."""
        families: dict[str, Metric] = {}
        for worker, metrics in ((self._worker, own), *((peer.worker, peer.metrics) for peer in self.others())):
            for metric in metrics:
                label = ("worker", str(worker))
                samples = tuple(replace(sample, labels=(*sample.labels, label)) for sample in metric.samples)
                known = families.get(metric.name)
                families[metric.name] = replace(metric, samples=(known.samples if known else ()) + samples)
        return tuple(families.values())
