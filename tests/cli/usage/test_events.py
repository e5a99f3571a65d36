"""Single events: printed as they come, exported, dropped."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fixtures.commands import Home
from fixtures.own_store import meshproxy, seed
from fixtures.webserver import Site, event
from meshproxy_cli.cli.usage import follow
from meshproxy_cli.client.local import LocalClient
from meshproxy_cli.errors import ExitCode, UsageError
from meshproxy_cli.store.events import UsageEvent
from meshproxy_cli.store.parts.events import Events
from meshproxy_cli.store.records import UsageQuery


def test_tail_shows_the_last_events(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    events = seed(site)
    out, _ = meshproxy(capsys, "usage", "tail", "--once", "-n", "2")
    first, second = out.splitlines()
    assert "mystery  200  in 1,000  out 50  no price  1.5s  estimated" in first
    assert "529  in 0  out 0  -  1.5s  provider_error (overloaded_error)" in second
    out, _ = meshproxy(capsys, "usage", "tail", "--once", "--json", "--session", "claude-ana")
    row = json.loads(out)
    assert (row["event_id"], row["cache_write_1h_tokens"], row["cost_usd"]) == (events[1].event_id, 5, 6.000000045)


def test_follower_gives_each_event_once_whatever_the_order(site: Site, home: Home) -> None:
    client = LocalClient(f"sqlite:///{home.state / 'data' / 'meshproxy.db'}", "default", "", b"k" * 32)
    events = [event(site) for _ in range(1500)]
    site.store.events.add(events[:10])
    follower = follow.Follower(client, UsageQuery())
    assert [item.event_id for item in follower.start(3)] == [item.event_id for item in events[7:10]]
    assert follower.poll() == ()
    site.store.events.add(events[20:])
    seen = [item.event_id for item in follower.poll()]
    site.store.events.add(events[10:20])  # another worker was slower
    seen += [item.event_id for item in follower.poll()]
    assert len(seen) == len(set(seen))
    assert {item.event_id for item in events[20:]} <= set(seen)
    late = [event(site) for _ in range(3)]
    held_back, later = late[0], late[1:]
    site.store.events.add(later)
    assert {item.event_id for item in follower.poll()} == {item.event_id for item in later}
    site.store.events.add([held_back])
    assert [item.event_id for item in follower.poll()] == [held_back.event_id]
    assert follower.poll() == ()
    client.close()


def test_export_then_prune(site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    events = seed(site)
    old = event(site, started_at=datetime.now(UTC) - timedelta(days=100), session="old")
    site.store.events.add([old])
    target = tmp_path / "usage.jsonl"
    _, err = meshproxy(capsys, "usage", "export", "-o", str(target))
    assert "5 events written" in err
    rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [row["event_id"] for row in rows] == [old.event_id, *(item.event_id for item in events)]
    assert "tokens" not in rows[0]
    out, _ = meshproxy(capsys, "usage", "export", "--format", "csv", "--session", "claude-ana")
    assert next(csv.DictReader(io.StringIO(out)))["input_tokens"] == "2000000"
    _, err = meshproxy(capsys, "usage", "export", "-o", str(target), code=ExitCode.USAGE)
    assert "--force" in err
    assert len(target.read_text("utf-8").splitlines()) == 5

    before = json.loads(meshproxy(capsys, "usage", "--json")[0])
    _, err = meshproxy(capsys, "usage", "prune", "--keep", "30d", code=ExitCode.USAGE)
    assert "--yes" in err
    _, err = meshproxy(capsys, "usage", "prune", "--keep", "30d", "--yes")
    assert "1 events dropped" in err or "1 event dropped" in err
    assert json.loads(meshproxy(capsys, "usage", "--json")[0]) == before
    assert "old" not in meshproxy(capsys, "usage", "export")[0]


@pytest.mark.parametrize("arguments", [(), ("--keep", "30d", "--before", "today"), ("--before", "2999-01-01", "--yes")])
def test_prune_wants_one_past_time(site: Site, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    events = seed(site)
    meshproxy(capsys, "usage", "prune", *arguments, code=ExitCode.USAGE)
    assert site.store.events.list(UsageQuery()) == tuple(events)


def test_a_failed_export_leaves_nothing(
    site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(site)
    _, err = meshproxy(capsys, "usage", "export", "-o", str(tmp_path / "no" / "dir"), code=ExitCode.FAILURE)
    assert "can't be written" in err

    def break_off(*_: Any) -> Iterator[UsageEvent]:
        yield event(site)
        raise UsageError("the server went away")

    monkeypatch.setattr(Events, "export", break_off)
    meshproxy(capsys, "usage", "export", "-o", str(tmp_path / "half.jsonl"), code=ExitCode.USAGE)
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []


def test_usage_of_other_projects_is_left_out(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.store.events.add([event(site, room="mine"), event(site, room="theirs", project_id="another project")])
    for command in (("export",), ("tail", "--once"), ("--by", "room", "--json")):
        shown, _ = meshproxy(capsys, "usage", *command)
        assert ("mine" in shown, "theirs" in shown) == (True, False), command
