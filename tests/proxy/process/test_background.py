"""The thread that keeps the directory fresh: whatever becomes of the store, it goes on."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.process import background as janitor
from meshproxy_cli.proxy.process.background import BackgroundWork
from meshproxy_cli.store import open_store
from meshproxy_cli.store.errors import StoreUnavailableError
from meshproxy_cli.store.parts.changes import Changes
from meshproxy_cli.store.store import Store
from proxy.gateway_server import run, until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/meshproxy.db", master_key=bytes(32))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("problem", "told"),
    [(StoreUnavailableError("it is away"), "it is away"), (RuntimeError("nobody thought of it"), "RuntimeError")],
)
def test_a_store_that_fails_is_asked_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, problem: Exception, told: str
) -> None:
    monkeypatch.setattr(janitor, "_RECONNECT_S", 0.05)
    follow, broken = Changes.follow, [problem, problem, problem]

    def fail_at_first(changes: Changes) -> object:
        if broken:
            raise broken.pop()
        return follow(changes)

    async def play() -> None:
        seen: list[Directory] = []
        answered: list[None] = []
        monkeypatch.setattr(Changes, "follow", fail_at_first)
        running = BackgroundWork(store, asyncio.get_running_loop(), seen.append)
        running.start()
        running.refresh(lambda: answered.append(None))
        await until(lambda: bool(answered))  # a request that waits for it is answered, away or not
        await until(lambda: not broken and not running.store_away)
        key = store.keys.create(store.projects.ensure().id, "new")
        await until(lambda: seen[-1].key(key.id) is not None)
        await asyncio.get_running_loop().run_in_executor(None, running.stop)

    with caplog.at_level(logging.WARNING):
        run(play())
    assert [told in record.getMessage() for record in caplog.records] == [True]
