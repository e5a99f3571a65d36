"""The store's suite runs on every engine from the same code."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import Project
from meshproxy_cli.store.store import Store


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
def open_another(store_url: str, master_key: bytes) -> Iterator[Callable[..., Store]]:
    """Open the same database as other processes would."""
    opened: list[Store] = []

    def open_it(**options: Any) -> Store:
        opened.append(open_store(store_url, **({"master_key": master_key} | options)))
        return opened[-1]

    yield open_it
    for store in opened:
        store.close()


@pytest.fixture
def store(open_another: Callable[..., Store]) -> Store:
    return open_another()


@pytest.fixture
def project(store: Store) -> Project:
    return store.projects.ensure()
