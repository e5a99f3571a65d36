from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.events.retention import Retention
from meshproxy_cli.store import open_store
from meshproxy_cli.store.base import StoreUnavailableError
from meshproxy_cli.store.events import Outcome, UsageEvent
from meshproxy_cli.store.records import UsageQuery
from meshproxy_cli.store.sql import SqlStore

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
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    days = [0, 1, 29, 31, 400]
    opened.add_events([replace(EVENT, event_id=str(n), started_at=NOW - timedelta(days=n)) for n in days])
    yield opened
    opened.close()


def test_old_events_go_and_sums_stay(store: SqlStore) -> None:
    assert Retention(store, 30, clock=lambda: NOW).prune() == 2
    assert [event.event_id for event in store.events(UsageQuery())] == ["0", "1", "29"]
    assert store.usage(UsageQuery(by=())).totals.requests == 5


def test_without_a_setting_everything_is_kept(store: SqlStore) -> None:
    assert Retention(store, None, clock=lambda: NOW + timedelta(days=10_000)).prune() == 0
    assert len(store.events(UsageQuery())) == 5


def test_whose_old_answers_are_is_forgotten(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise StoreUnavailableError("away")

    store.add_owners({"id": "owner"})
    now = datetime.now(UTC)
    assert Retention(store, None, clock=lambda: now + timedelta(days=39)).prune_owners() == 0
    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "prune_owners", away)
        assert Retention(store, None, clock=lambda: now + timedelta(days=41)).prune_owners() == 0
    assert Retention(store, None, clock=lambda: now + timedelta(days=41)).prune_owners() == 1
    assert store.owners(["id"]) == {}


def test_a_store_that_is_away_is_asked_again_later(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise StoreUnavailableError("away")

    retention = Retention(store, 30, clock=lambda: NOW)
    with monkeypatch.context() as patch:
        patch.setattr(SqlStore, "prune_events", away)
        assert retention.prune() == 0
    assert retention.prune() == 2


def test_the_setting_is_a_number_of_days() -> None:
    assert load_config("", {}, str).keep_events_days is None
    assert load_config("[usage]\nkeep_days = 90", {}, str).keep_events_days == 90
    for wrong in ("0", "-1", "true", '"90"', "1.5"):
        with pytest.raises(UsageError, match="keep_days"):
            load_config(f"[usage]\nkeep_days = {wrong}", {}, str)
