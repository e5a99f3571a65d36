from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from meshproxy_cli.store.engine.schema import projects
from meshproxy_cli.store.store import Store

Open = Callable[..., Store]


def test_a_project_is_made_once_however_many_ask(open_another: Open) -> None:
    stores = [open_another() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda n: stores[n % 4].projects.ensure("team").id, range(16)))
    assert len(found) == 1
    with stores[0].session.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(projects)).scalar() == 1
