"""The store's suite runs on every engine from the same code."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent
from meshproxy_cli.store.records import Project
from meshproxy_cli.store.sql import SqlStore

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EVENT = UsageEvent(
    event_id="0",
    request_id="request",
    started_at=NOON,
    project_id="project",
    room="room",
    session="session",
    participant="participant",
    key_id="key",
    agent="codex_exec",
    provider="openai",
    endpoint="/v1/responses",
    method="POST",
    streamed=True,
    status=200,
    outcome=Outcome.OK,
    model_requested="gpt",
    model_served="gpt-5.4",
    tokens=TokenCounts(input_tokens=100, cached_input_tokens=60, output_tokens=10, reasoning_tokens=4),
    cost_usd=Decimal("0.000123456789"),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store' / 'meshproxy.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def master_key() -> bytes:
    return os.urandom(32)


@pytest.fixture
def open_another(store_url: str, master_key: bytes) -> Iterator[Callable[..., SqlStore]]:
    """Open the same database as other processes would."""
    opened: list[SqlStore] = []

    def open_it(**options: Any) -> SqlStore:
        opened.append(open_store(store_url, **({"master_key": master_key} | options)))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_another: Callable[..., SqlStore]) -> SqlStore:
    return open_another()


@pytest.fixture
def project(store: SqlStore) -> Project:
    return store.ensure_project()


def event(event_id: int | str, **changes: Any) -> UsageEvent:
    """Return an event like any other but for `changes`."""
    return replace(EVENT, event_id=f"{event_id:06}" if isinstance(event_id, int) else event_id, **changes)
