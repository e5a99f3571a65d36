"""`meshproxy usage` on a real store: tables that add up, JSON, CSV, times, live, single events."""

import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pexpect
import pytest

from fixtures.commands import MESHPROXY, Home
from fixtures.webserver import Site, event
from meshproxy_cli.cli import output
from meshproxy_cli.cli.app import run
from meshproxy_cli.cli.usage import filters, follow, render, watch
from meshproxy_cli.client.local import LocalClient
from meshproxy_cli.errors import ExitCode, UsageError
from meshproxy_cli.store import open_store
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent
from meshproxy_cli.store.records import GroupBy, UsageQuery, UsageReport, UsageRow, UsageTotals
from meshproxy_cli.store.wire import report_to_json

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
COLUMNS = (
    "requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_usd", "estimated_requests",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    found = Home(tmp_path)
    monkeypatch.setenv("MESHPROXY_HOME", str(found.state))
    return found


@pytest.fixture
def site(home: Home) -> Iterator[Site]:
    """Return this user's own store, where events can be written."""
    store = open_store(f"sqlite:///{home.state / 'data' / 'meshproxy.db'}", master_key=b"k" * 32)
    yield Site(store, store.ensure_project(), "", "", None, None)  # type: ignore[arg-type]  # only the store is used
    store.close()


def meshproxy(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[str, str]:
    assert run(arguments) == code
    captured = capsys.readouterr()
    return captured.out, captured.err


def seed(site: Site) -> list[UsageEvent]:
    events = [
        event(site),
        event(site, session="claude-ana", provider="anthropic", model_served="claude-sonnet-4-5",
              tokens=TokenCounts(input_tokens=2_000_000, cache_write_5m_tokens=7, cache_write_1h_tokens=5,
                                 output_tokens=9), cost_usd=Decimal("6.000000045")),
        event(site, room="ci", model_served="mystery", cost_usd=None, estimated=True),
        event(site, room="ci", status=529, outcome=Outcome.PROVIDER_ERROR, tokens=TokenCounts(), cost_usd=None,
              error="overloaded_error"),
    ]  # fmt: skip
    site.store.add_events(events)
    return events


def test_json_has_the_documented_shape_and_adds_up(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    seed(site)
    out, err = meshproxy(capsys, "usage", "--json")
    report = json.loads(out)
    assert (report["schema_version"], err) == (1, "")
    assert [(row["room"], row["session"], row["model"]) for row in report["rows"]] == [
        ("backend", "claude-ana", "claude-sonnet-4-5"), ("backend", "codex-ana", "gpt-5.4"),
        ("ci", "codex-ana", "gpt-5.4"), ("ci", "codex-ana", "mystery"),
    ]  # fmt: skip
    for name in COLUMNS:
        values = [row[name] for row in report["rows"]]
        assert report["totals"][name] == sum(value for value in values if value is not None), name
    assert report["totals"]["cost_usd"] == 6.012300045
    assert report["rows"][3]["cost_usd"] is None
    assert (report["totals"]["unpriced_requests"], report["totals"]["failed_requests"]) == (1, 1)


def test_usage_and_usage_show_are_the_same(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    seed(site)
    assert meshproxy(capsys, "usage", "show", "--json") == meshproxy(capsys, "usage", "--json")


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        (["--room", "ci"], 2),
        (["--session", "claude-ana"], 1),
        (["--participant", "ana"], 4),
        (["--participant", "nobody"], 0),
        (["--model", "mystery"], 1),
        (["--provider", "anthropic"], 1),
        (["--since", "1h"], 4),
        (["--until", "1h"], 0),
        (["--since", "2020-01-01", "--until", "2020-02-01"], 0),
    ],
)
def test_filters(site: Site, capsys: pytest.CaptureFixture[str], options: list[str], requests: int) -> None:
    seed(site)
    out, _ = meshproxy(capsys, "usage", "--json", *options)
    assert json.loads(out)["totals"]["requests"] == requests


def test_grouping(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    events = seed(site)
    out, _ = meshproxy(capsys, "usage", "--json", "--by", "day,provider", "--by", "room")
    first = json.loads(out)["rows"][0]
    assert list(first)[:3] == ["day", "provider", "room"]
    assert first["day"] == f"{events[0].started_at:%Y-%m-%d}"
    _, err = meshproxy(capsys, "usage", "--by", "colour", code=ExitCode.USAGE)
    assert "colour" in err
    assert "participant" in err


def test_the_table_adds_up_to_the_last_digit(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    seed(site)
    out, err = meshproxy(capsys, "usage")
    head, *rows, total = [re.split(r"  +", line.strip()) for line in out.splitlines() if line.strip()]
    assert head == ["Room", "Session", "Model", "Requests", "Input", "Cached", "Cache write", "Output", "Reasoning",
                    "Failed", "Cost"]  # fmt: skip
    assert total[0] == "Total"
    for column in range(3, 10):
        numbers = [int(row[column].replace(",", "")) for row in rows]
        assert sum(numbers) == int(total[column - 2].replace(",", "")), head[column]
    priced = [Decimal(row[-1].lstrip("≥$")) for row in rows if "$" in row[-1]]
    assert sum(priced) == Decimal(total[-1].lstrip("≥$")) == Decimal("6.012300045")
    assert [row[-1] for row in rows] == ["$6.000000045", "$0.012300000", "-", "no price"]
    assert total[-1].startswith("≥")
    assert "1 request of models without a known price" in err
    assert "1 request broke off" in err


def test_unpriced_usage_is_never_shown_as_zero(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.store.add_events([event(site, cost_usd=None)])
    out, _ = meshproxy(capsys, "usage")
    assert "$0" not in out
    assert out.count("no price") == 2
    assert json.loads(meshproxy(capsys, "usage", "--json")[0])["totals"]["cost_usd"] is None
    assert next(csv.DictReader(io.StringIO(meshproxy(capsys, "usage", "--csv")[0])))["cost_usd"] == ""


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_numbers_are_whole_at_any_width(width: int) -> None:
    big = UsageTotals(
        requests=12_345_678, input_tokens=98_765_432_109, cached_input_tokens=87_654_321_098, cache_write_tokens=1_000,
        output_tokens=3_210_987_654, reasoning_tokens=654_321_098, cost_usd=Decimal("123456.78"),
    )  # fmt: skip
    keys = {"room": "a-room-with-a-long-name", "session": "session-with-a-name", "model": "claude-sonnet-4-5-20260101"}
    by = (GroupBy.ROOM, GroupBy.SESSION, GroupBy.MODEL)
    table = render.build_table(UsageReport(by=by, rows=(UsageRow(keys=keys, totals=big),), totals=big), width)
    console = render_at(table, width)
    for number in ("12,345,678", "98,765,432,109", "87,654,321,098", "3,210,987,654", "$123,456.78"):
        assert console.count(number) == 2, console
    assert "…" not in console


def render_at(table: render.Table, width: int) -> str:
    from rich.console import Console  # noqa: PLC0415

    console = Console(width=max(width, 80), file=io.StringIO())
    console.print(output._grid(table.columns, table.rows, table.footer))
    return str(console.file.getvalue())  # type: ignore[attr-defined]  # a StringIO


def test_csv_is_exact_and_no_formula(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.store.add_events([event(site, session="=cmd()", cost_usd=Decimal("0.000000123"))])
    rows = list(csv.DictReader(io.StringIO(meshproxy(capsys, "usage", "--csv")[0])))
    assert rows[0]["session"] == "'=cmd()"
    assert (rows[0]["cost_usd"], rows[0]["input_tokens"]) == ("0.000000123", "1000")
    assert set(COLUMNS) < set(rows[0])


def test_a_name_cannot_steer_the_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.store.add_events([event(site, session="\x1b[2J[red]evil\r")])
    for command in (("usage",), ("usage", "tail", "--once")):
        out, _ = meshproxy(capsys, *command)
        assert "\x1b" not in out
        assert "\r" not in out
        assert "[red]evil" in out


def test_nothing_yet(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert meshproxy(capsys, "usage") == ("", "No usage yet.\n")
    assert meshproxy(capsys, "usage", "--room", "x") == ("", "No usage for this room yet.\n")
    assert json.loads(meshproxy(capsys, "usage", "--json")[0])["totals"]["requests"] == 0


@pytest.mark.parametrize("arguments", [("--json", "--csv"), ("--since", "soon"), ("--since", "today", "--until", "7d")])
def test_wrong_options(site: Site, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    out, err = meshproxy(capsys, "usage", *arguments, code=ExitCode.USAGE)
    assert out == ""
    assert "error:" in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2W", NOW - timedelta(weeks=2)),
        ("today", datetime(2026, 11, 23, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T09:30Z", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01 09:30", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("2026-11-01T09:30+02:00", datetime(2026, 11, 1, 7, 30, tzinfo=UTC)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert filters.parse_time(text, "--since", NOW) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "7 years", "2026-13-01", "999999w", "1e3d", "\x00"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="no time"):
        filters.parse_time(text, "--since", NOW)


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
    site.store.add_events(events[:10])
    follower = follow.Follower(client, UsageQuery())
    assert [item.event_id for item in follower.start(3)] == [item.event_id for item in events[7:10]]
    assert follower.poll() == ()
    site.store.add_events(events[20:])
    seen = [item.event_id for item in follower.poll()]
    site.store.add_events(events[10:20])  # another worker was slower
    seen += [item.event_id for item in follower.poll()]
    assert len(seen) == len(set(seen))
    assert {item.event_id for item in events[20:]} <= set(seen)
    late = [event(site) for _ in range(3)]
    held_back, later = late[0], late[1:]
    site.store.add_events(later)
    assert {item.event_id for item in follower.poll()} == {item.event_id for item in later}
    site.store.add_events([held_back])
    assert [item.event_id for item in follower.poll()] == [held_back.event_id]
    assert follower.poll() == ()
    client.close()


def test_rates_are_those_of_the_last_minute(site: Site) -> None:
    def at(seconds: float, **changes: Any) -> UsageEvent:
        return event(site, started_at=NOW - timedelta(seconds=seconds), duration_ms=1000.0, **changes)

    events = deque([at(100), at(61.5), at(60), at(5), at(4, cost_usd=None)])
    now = watch.rates(events, NOW)
    assert (now.requests_a_minute, now.tokens_a_second, now.cost_usd, now.unpriced) == (
        3, 3 * 1050 / 60, Decimal("0.0246"), 1,
    )  # fmt: skip
    assert len(events) == 3


def test_watch_redraws_on_a_terminal(site: Site, home: Home) -> None:
    site.store.add_events([event(site, started_at=datetime.now(UTC)) for _ in range(4)])
    environ = home.environ({"TERM": "xterm", "COLUMNS": "120", "LINES": "40"})
    child = pexpect.spawn(
        str(MESHPROXY), ["usage", "--watch"], env=environ, encoding="utf-8", dimensions=(40, 120), timeout=30
    )
    try:
        child.expect("4 requests/min")
        child.expect("tokens/s")
        site.store.add_events([event(site, started_at=datetime.now(UTC))])
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


def test_export_then_prune(site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    events = seed(site)
    old = event(site, started_at=datetime.now(UTC) - timedelta(days=100), session="old")
    site.store.add_events([old])
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
    assert site.store.events(UsageQuery()) == tuple(events)


def test_a_failed_export_leaves_nothing(
    site: Site, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(site)
    _, err = meshproxy(capsys, "usage", "export", "-o", str(tmp_path / "no" / "dir"), code=ExitCode.FAILURE)
    assert "can't be written" in err

    def break_off(*_: Any) -> Iterator[UsageEvent]:
        yield event(site)
        raise UsageError("the server went away")

    monkeypatch.setattr(LocalClient, "export_events", break_off)
    meshproxy(capsys, "usage", "export", "-o", str(tmp_path / "half.jsonl"), code=ExitCode.USAGE)
    assert [path.name for path in tmp_path.iterdir() if "half" in path.name] == []


def test_report_reads_back() -> None:
    assert report_to_json(UsageReport(by=(), rows=(), totals=UsageTotals())) == {
        "schema_version": 1, "rows": [], "totals": {**dict.fromkeys(COLUMNS, 0), "cost_usd": None,
                                                    "unpriced_requests": 0, "failed_requests": 0},
    }  # fmt: skip
