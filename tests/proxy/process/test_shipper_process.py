"""What the shipper's process does, in a thread here."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from fixtures.usage import usage_event
from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.events.spool import Spool, segments
from meshproxy_cli.proxy.metrics.peers import WORKERS, Peers
from meshproxy_cli.proxy.process import shipper_process as shipping
from meshproxy_cli.proxy.process.control import Change, Prepare, Reply
from meshproxy_cli.proxy.process.shipper_process import NAME, Shipping, ShippingPlan, ship
from meshproxy_cli.proxy.process.supervisor import CONTEXT
from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import UsageQuery

PATIENCE_S = 30.0


def plan_for(directory: Path, **changes: str) -> ShippingPlan:
    values = {"database_url": f"sqlite:///{directory}/meshproxy.db", "config_text": ""} | changes
    return ShippingPlan(secrets={}, environ={}, spool_dir=directory / "spool", **values)


@contextmanager
def running(plan: ShippingPlan, line: Connection | None = None) -> Iterator[Connection]:
    """Ship until the connection is closed."""
    told, tell = CONTEXT.Pipe(duplex=False)
    thread = threading.Thread(target=ship, args=(plan, told, line))
    thread.start()
    try:
        yield tell
    finally:
        tell.close()
        thread.join(PATIENCE_S)
        told.close()
    assert not thread.is_alive()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stored(plan: ShippingPlan) -> set[str]:
    store = open_store(plan.database_url)
    found = {event.event_id for event in store.export_events(UsageQuery())}
    store.close()
    return found


def test_events_of_every_worker_are_stored_and_counted(tmp_path: Path) -> None:
    plan = plan_for(tmp_path)
    events = [usage_event(), usage_event()]
    with running(plan):
        for number, event in enumerate(events):
            spool = Spool(plan.spool_dir, number)
            spool.append(event)
            spool.close()
        until(lambda: len(stored(plan)) == 2)
        others = Peers(plan.spool_dir / WORKERS, 0)
        until(lambda: [peer.worker for peer in others.others()] == [NAME])
        shown = {metric.name: metric.samples for metric in others.others()[0].metrics}
        assert [sample.value for sample in shown["shipped_events_total"]] == [2]
        assert {sample.labels for sample in shown["answers_total"]} == {(("provider", "openai"), ("outcome", "ok"))}
    assert stored(plan) == {event.event_id for event in events}
    assert others.others() == ()


def test_what_is_left_at_the_end_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_POLL_S", 3600.0)  # nothing but the end wakes it
    plan = plan_for(tmp_path)
    event = usage_event()
    with running(plan):
        spool = Spool(plan.spool_dir)
        spool.append(event)
        spool.close()
    assert stored(plan) == {event.event_id}
    assert segments(plan.spool_dir) == []


def test_a_store_that_is_away_is_waited_for_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shipping, "_RECONNECT_S", 0.05)
    plan = plan_for(tmp_path)
    spool = Spool(plan.spool_dir)
    spool.append(usage_event())
    spool.close()
    (tmp_path / "meshproxy.db").mkdir()  # nothing that could be opened
    with caplog.at_level(logging.WARNING), running(plan):
        until(lambda: caplog.text.count("usage stays in the spool for now") > 1)
    assert len(segments(plan.spool_dir)) == 1
    (tmp_path / "meshproxy.db").rmdir()
    with running(plan):
        until(lambda: segments(plan.spool_dir) == [])


def test_a_new_configuration_is_taken_while_the_store_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "log_as", lambda *_: None)  # the log of the tests' process is pytest's
    latest = shipping._Latest(plan_for(tmp_path))
    with pytest.raises(UsageError, match="keep_days"):
        latest.prepare(Change("[usage]\nkeep_days = 0\n", {}))
    late = latest.prepare(Change("[usage]\nkeep_days = 9\n", {}))
    latest.prepare(Change("[usage]\nkeep_days = 7\n", {}))()
    store = open_store(plan_for(tmp_path).database_url)
    one = latest.begin(store)
    assert one._retention.keep_days == 7
    late()
    assert one._retention.keep_days == 9
    latest.prepare(Change("[usage]\nkeep_days = 8\n", {}))()
    assert one._retention.keep_days == 8
    store.close()


def test_with_the_store_away_it_answers_whoever_brings_a_new_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "_RECONNECT_S", 0.05)
    (tmp_path / "meshproxy.db").mkdir()  # nothing that could be opened
    ours, theirs = CONTEXT.Pipe()
    with running(plan_for(tmp_path), theirs):
        ours.send(Prepare(1, Change("[usage]\nkeep_days = 7\n", {})))
        assert ours.poll(PATIENCE_S)
        assert ours.recv() == Reply(1)
    ours.close()
    theirs.close()


def test_a_new_configuration_brings_prices_and_how_long_events_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "log_as", lambda *_: None)  # the log of the tests' process is pytest's
    prices = tmp_path / "prices.toml"
    prices.write_text('[[price]]\nmodel = "gpt-4o"\ninput_mtok = 1\noutput_mtok = 1\n', encoding="utf-8")
    plan = plan_for(tmp_path)
    store = open_store(plan.database_url)
    one = Shipping(plan, store)
    text = f'[usage]\nprices = "{prices}"\nkeep_days = 7\n'
    take_over = one.prepare(Change(text, {}))
    spool = Spool(plan.spool_dir)
    for step in (lambda: None, take_over):
        step()
        spool.append(usage_event())
        spool.rotate()
        one._shipper.run_once()
    costs = [event.cost_usd for event in store.export_events(UsageQuery())]
    assert [str(cost) for cost in costs] == ["0.0035", "0.0011"]
    assert one._retention.keep_days == 7
    store.close()
