from pathlib import Path

from fixtures.usage import usage_event
from meshproxy_cli.proxy.events.rescue import Rescue
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store import open_store
from meshproxy_cli.store.base import StoreUnavailableError
from meshproxy_cli.store.records import UsageQuery


def test_what_the_disk_does_not_take_is_shipped_from_memory(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    spool = Spool(directory)
    store = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    rescue = Rescue(spool, store, PriceBook())
    directory.rmdir()  # nothing can be written there any more
    event = usage_event()
    spool.append(event)
    assert spool.in_memory == 1
    rescue.run()
    assert spool.in_memory == 0
    assert [kept.event_id for kept in store.export_events(UsageQuery())] == [event.event_id]
    store.close()


def test_while_the_store_is_away_too_it_stays_in_memory(tmp_path: Path) -> None:
    class Away:
        def add_rows(self, rows: object) -> int:
            raise StoreUnavailableError("away")

    directory = tmp_path / "spool"
    spool = Spool(directory)
    directory.rmdir()
    spool.append(usage_event())
    Rescue(spool, Away(), PriceBook()).run()
    assert spool.in_memory == 1
    directory.mkdir()
    spool.rotate()  # there is room again
    assert spool.in_memory == 0
    assert len(list(directory.iterdir())) == 1
