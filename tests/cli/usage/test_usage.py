"""`meshproxy usage` on a real store: tables that add up, JSON, CSV, filters."""

import csv
import io
import json
import re
from decimal import Decimal

import pytest

from fixtures.own_store import meshproxy, seed
from fixtures.webserver import Site, event
from meshproxy_cli.cli import output
from meshproxy_cli.cli.usage import render
from meshproxy_cli.errors import ExitCode
from meshproxy_cli.store.records import GroupBy, UsageReport, UsageRow, UsageTotals
from meshproxy_cli.store.wire import report_to_json

COLUMNS = (
    "requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_usd", "estimated_requests",
)  # fmt: skip


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
    _, err = meshproxy(capsys, "usage", "--by", "color", code=ExitCode.USAGE)
    assert "color" in err
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
    site.store.events.add([event(site, cost_usd=None)])
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
    site.store.events.add([event(site, session="=cmd()", cost_usd=Decimal("0.000000123"))])
    rows = list(csv.DictReader(io.StringIO(meshproxy(capsys, "usage", "--csv")[0])))
    assert rows[0]["session"] == "'=cmd()"
    assert (rows[0]["cost_usd"], rows[0]["input_tokens"]) == ("0.000000123", "1000")
    assert set(COLUMNS) < set(rows[0])


def test_a_name_cannot_steer_the_terminal(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.store.events.add([event(site, session="\x1b[2J[red]evil\r")])
    for command in (("usage",), ("usage", "tail", "--once")):
        out, _ = meshproxy(capsys, *command)
        assert "\x1b" not in out
        assert "\r" not in out
        assert "[red]evil" in out


def test_nothing_yet(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    assert meshproxy(capsys, "usage") == ("", "no usage yet\n")
    assert meshproxy(capsys, "usage", "--room", "x") == ("", "no usage for this room yet\n")
    assert json.loads(meshproxy(capsys, "usage", "--json")[0])["totals"]["requests"] == 0


def test_a_misspelt_name_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    seed(site)
    assert meshproxy(capsys, "usage", "--room", "backnd") == ("", "no usage for this room yet; did you mean backend?\n")
    _, err = meshproxy(capsys, "usage", "--room", "ci", "--model", "claude-sonet-4-5")
    assert err == "no usage for this room, model yet; did you mean claude-sonnet-4-5?\n"
    _, err = meshproxy(capsys, "usage", "--room", "ci", "--session", "claude-ana")
    assert err == "no usage for this room, session yet\n"


@pytest.mark.parametrize("arguments", [("--json", "--csv"), ("--since", "soon"), ("--since", "today", "--until", "7d")])
def test_wrong_options(site: Site, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    out, err = meshproxy(capsys, "usage", *arguments, code=ExitCode.USAGE)
    assert out == ""
    assert "error:" in err


def test_report_reads_back() -> None:
    assert report_to_json(UsageReport(by=(), rows=(), totals=UsageTotals())) == {
        "schema_version": 1, "rows": [], "totals": {**dict.fromkeys(COLUMNS, 0), "cost_usd": None,
                                                    "unpriced_requests": 0, "failed_requests": 0,
                                                    "price_estimated_requests": 0, "web_searches": 0},
    }  # fmt: skip
