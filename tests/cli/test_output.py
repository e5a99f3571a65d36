"""Tables on a terminal: columns that fold give way, and nothing is cut."""

import io
import subprocess

import pytest
from rich.console import Console

from fixtures.commands import Cli
from meshproxy_cli.cli import output
from meshproxy_cli.cli.output import Column

ID = "8af8df11-e7da-4642-8561-8ef4c4a118d0"


@pytest.mark.parametrize("width", [30, 80, 200])
def test_ids_are_whole_at_any_width(width: int) -> None:
    columns = (Column("Name"), Column("ID"), Column("What", fold=True))
    rows = (("laptop", ID, "a note that goes on for longer than there is room"), ("名前の長い鍵", ID, ""))
    console = Console(file=io.StringIO(), width=max(width, output._least_width(columns, rows, None)))
    console.print(output._grid(columns, rows, None))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert shown.count(ID) == 2
    assert "…" not in shown
    assert "名前の長い鍵" in shown


def test_as_narrow_as_what_does_not_fold() -> None:
    columns = (Column("A"), Column("B", fold=True))
    assert output._least_width(columns, [("12345", "x" * 100)], None) == 5 + 2 + 8
    assert output._least_width(columns, [], ("total", "")) == 5 + 2 + 1


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_old_terminals_get_plain_letters(cli: Cli, encoding: str) -> None:
    environ = {"PYTHONIOENCODING": encoding}
    found = cli("doctor", "--offline", code=1, environ=environ)
    assert "ok own directories: " in found.stdout
    assert "    -> meshproxy api-key create" in found.stdout
    cli("--quiet", "config", "set", "room", "räume-名", environ=environ)
    shown = cli("config", "show", "--json", environ=environ).json()
    assert shown["settings"]["servers.local.room"]["value"] == "räume-名"


@pytest.mark.parametrize("to", [">/dev/full", ">&-"])
def test_output_that_can_not_be_written(cli: Cli, to: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"meshproxy config path {to}"],
        env=cli.home.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.startswith("error: the output can't be written: ")) == (1, True), done.stderr


def test_messages_that_nobody_reads(cli: Cli) -> None:
    done = subprocess.run(
        ["bash", "-c", "meshproxy config set nonsense x 2>&-"], env=cli.home.environ(), timeout=60, check=False
    )
    assert done.returncode == 2
