"""`meshproxy usage --watch`: the rates of the last minute, and the table that is redrawn."""

import json
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pexpect
import pytest

from fixtures.commands import MESHPROXY, Home
from fixtures.own_store import NOW, meshproxy
from fixtures.webserver import Site, event
from meshproxy_cli.cli.usage import watch
from meshproxy_cli.client.local import LocalClient
from meshproxy_cli.errors import ExitCode
from meshproxy_cli.store.events import UsageEvent


def test_rates_are_those_of_the_last_minute(site: Site) -> None:
    def at(seconds: float, **changes: Any) -> UsageEvent:
        return event(site, started_at=NOW - timedelta(seconds=seconds), duration_ms=1000.0, **changes)

    events = deque([at(100), at(61.5), at(60), at(5), at(4, cost_usd=None)])
    now = watch.rates(events, NOW)
    assert (now.requests_a_minute, now.tokens_a_second, now.cost_usd, now.unpriced) == (
        3, 3 * 1050 / 60, Decimal("0.0246"), 1,
    )  # fmt: skip
    assert len(events) == 3


@pytest.mark.usefixtures("interruptible")
def test_watch_redraws_on_a_terminal(site: Site, home: Home) -> None:
    site.store.events.add([event(site, started_at=datetime.now(UTC)) for _ in range(4)])
    environ = home.environ({"TERM": "xterm", "COLUMNS": "120", "LINES": "40"})
    child = pexpect.spawn(
        str(MESHPROXY), ["usage", "--watch"], env=environ, encoding="utf-8", dimensions=(40, 120), timeout=30
    )
    try:
        child.expect("4 requests/min")
        child.expect("tokens/s")
        site.store.events.add([event(site, started_at=datetime.now(UTC))])
        child.expect("5 requests/min")
        # A person presses Ctrl-C again where the first one falls into code that swallows it.
        while child.isalive():
            child.sendintr()
            child.expect([pexpect.EOF, pexpect.TIMEOUT], timeout=2)
    finally:
        child.close(force=True)
    assert child.exitstatus == ExitCode.INTERRUPTED


def test_watch_without_a_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    _, err = meshproxy(capsys, "usage", "--watch", code=ExitCode.USAGE)
    assert "usage tail" in err


def test_streams_open_come_from_the_running_workers(site: Site, home: Home) -> None:
    workers = home.state / "workers"
    workers.mkdir()
    now = datetime.now(UTC).timestamp()
    client = LocalClient(f"sqlite:///{home.state / 'data' / 'meshproxy.db'}", "default", "", None, workers_dir=workers)
    assert client.streams_open() is None
    (workers / "0.json").write_text(json.dumps({"streams_open": 3, "written_at": now}))
    (workers / "1.json").write_text(json.dumps({"streams_open": 4, "written_at": now}))
    (workers / "2.json").write_text(json.dumps({"streams_open": 100, "written_at": now - 60}))
    (workers / "3.json").write_text("{")
    assert client.streams_open() == 7
    client.close()
