"""The application on an empty store of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from fixtures.webserver import Site, make_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = make_site(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def admin(site: Site) -> TestClient:
    return site.client(site.admin)


@pytest.fixture
def viewer(site: Site) -> TestClient:
    return site.client(site.viewer)
