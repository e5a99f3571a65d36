import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.events.retention import Retention
from meshproxy_cli.store import open_store
from meshproxy_cli.store.errors import StoreUnavailableError
from meshproxy_cli.store.events import Outcome, UsageEvent
from meshproxy_cli.store.parts.events import Events
from meshproxy_cli.store.parts.owners import AnswerOwners
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.store import Store

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVENT = UsageEvent(
    event_id="0",
    request_id="r",
    started_at=NOW,
    project_id="p",
    room="lab",
    session="s",
    participant="ann",
    key_id="k",
    agent="",
    provider="openai",
    endpoint="/v1/responses",
    method="POST",
    streamed=False,
    status=200,
    outcome=Outcome.OK,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    days = [0, 1, 29, 31, 400]
    opened.events.add([replace(EVENT, event_id=str(n), started_at=NOW - timedelta(days=n)) for n in days])
    yield opened
    opened.close()


def test_old_events_go_and_sums_stay(store: Store) -> None:
    assert Retention(store, 30, clock=lambda: NOW).prune() == 2
    assert [event.event_id for event in store.events.list(UsageQuery())] == ["0", "1", "29"]
    assert store.usage.report(UsageQuery(by=())).totals.requests == 5


def test_without_a_setting_the_first_drop_is_announced_a_week_ahead(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert Retention(store, None, clock=lambda: NOW).prune() == 0
    assert caplog.text == ""
    later = NOW + timedelta(days=1)
    for now in (later, later + timedelta(days=6, hours=23)):  # another worker, or the server after a restart
        caplog.clear()
        assert Retention(store, None, clock=lambda now=now: now).prune() == 0
        assert "usage events older than 400 days will be dropped from 2026-12-01 12:00 UTC on" in caplog.text
    assert len(store.events.list(UsageQuery())) == 5
    assert Retention(store, None, clock=lambda: later + timedelta(days=7)).prune() == 1
    assert len(store.events.list(UsageQuery())) == 4
    assert store.usage.report(UsageQuery(by=())).totals.requests == 5


def test_whose_old_answers_are_is_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise StoreUnavailableError("away")

    store.owners.record({"id": "owner"})
    now = datetime.now(UTC)
    assert Retention(store, None, clock=lambda: now + timedelta(days=39)).prune_owners() == 0
    with monkeypatch.context() as patch:
        patch.setattr(AnswerOwners, "prune", away)
        assert Retention(store, None, clock=lambda: now + timedelta(days=41)).prune_owners() == 0
    assert Retention(store, None, clock=lambda: now + timedelta(days=41)).prune_owners() == 1
    assert store.owners.find(["id"]) == {}


def test_a_store_that_is_away_is_asked_again_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise StoreUnavailableError("away")

    retention = Retention(store, 30, clock=lambda: NOW)
    with monkeypatch.context() as patch:
        patch.setattr(Events, "prune", away)
        assert retention.prune() == 0
    assert retention.prune() == 2


def test_the_setting_is_a_number_of_days() -> None:
    assert load_config("", {}, str).keep_events_days is None
    assert load_config("[usage]\nkeep_days = 90", {}, str).keep_events_days == 90
    for wrong in ("0", "-1", "true", '"90"', "1.5"):
        with pytest.raises(UsageError, match="keep_days"):
            load_config(f"[usage]\nkeep_days = {wrong}", {}, str)
