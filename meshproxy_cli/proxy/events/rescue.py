"""Where the spool's disk is full, a worker keeps events in memory, where no other process sees them: it ships those."""

from meshproxy_cli.proxy.events.observers import RowSink
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.usage.pricing import PriceBook
from meshproxy_cli.store.base import StoreUnavailableError


class Rescue:
    """Moves a worker's events from memory to the store, or back into the spool as soon as there is room."""

    def __init__(self, spool: Spool, store: RowSink, prices: PriceBook) -> None:
        self._spool = spool
        self._store = store
        self.prices = prices

    def run(self) -> None:
        """Rescue what there is; leaves it where it is while the store is away."""
        if not self._spool.in_memory:
            return
        from meshproxy_cli.proxy.events.shipper import Shipper  # noqa: PLC0415 (other workers never need it)

        lines = self._spool.take_waiting()
        try:
            shipper = Shipper(self._spool.directory, self._store, self.prices)
            shipper.ship_block(b"".join(lines))
        except StoreUnavailableError:
            self._spool.keep(lines)
