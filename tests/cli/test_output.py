"""Tables on a terminal: columns that fold give way, and nothing is cut."""

import io

import pytest
from rich.console import Console

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
