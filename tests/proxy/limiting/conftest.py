"""Workers with real limiters on one real store; time is set by the test."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.interface import Admission
from meshproxy_cli.proxy.limiting.limiter import StoreLimiter
from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope
from meshproxy_cli.store.store import Store

CALLER = Caller(
    project_id="p", room="lab", session="codex", participant="ann", key_id="k", agent="codex_exec", models=None
)
EVENT = UsageEvent(
    event_id="0",
    request_id="r",
    started_at=datetime.now(UTC),
    project_id="p",
    room="lab",
    session="codex",
    participant="ann",
    key_id="k",
    agent="codex_exec",
    provider="openai",
    endpoint="/v1/responses",
    method="POST",
    streamed=True,
    status=200,
    outcome=Outcome.OK,
)


def limit(
    kind: LimitKind, amount: str | int, scope: LimitScope = LimitScope.ROOM, subject: str = "*", **more: Any
) -> Limit:
    return Limit(project_id="p", scope=scope, subject=subject, kind=kind, amount=Decimal(amount), **more)


def used(tokens: int = 0, cost: str | None = None, **more: Any) -> UsageEvent:
    price = None if cost is None else Decimal(cost)
    return replace(EVENT, tokens=TokenCounts(input_tokens=tokens), cost_usd=price, **more)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'meshproxy.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def worker(store_url: str) -> Iterator[Callable[..., "Worker"]]:
    """Start limiters as workers would, each with a store of its own."""
    workers: list[Worker] = []

    def start(*limits: Limit, **options: Any) -> Worker:
        workers.append(Worker(open_store(store_url), f"worker {len(workers)}", limits, **options))
        return workers[-1]

    yield start
    for each in workers:
        each.stop()


class Worker:
    """A limiter and its store; `ask` waits where the data path would go on later."""

    def __init__(self, store: Store, name: str, limits: tuple[Limit, ...], **options: Any) -> None:
        self.store = store
        self.limiter = StoreLimiter(store.leases, name, lambda event: event, **options)
        self.limiter.update(limits)
        self.limiter.start()
        self._stopped = False

    def ask(self, caller: Caller = CALLER, size: int = 4000, model: str = "gpt") -> Admission | ProxyError:
        decision = self.limiter.admit(caller, "openai", "/v1/responses", size, model)
        return decision if isinstance(decision, Admission | ProxyError) else decision.result(timeout=40)

    def stop(self) -> None:
        if not self._stopped:
            self.limiter.stop()
            self.store.close()
        self._stopped = True
