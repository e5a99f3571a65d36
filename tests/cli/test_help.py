"""Help as a person sees it on a terminal of 80 columns."""

import re

import pytest

from fixtures.command_tree import GROUPS, LEAVES
from fixtures.in_process import InProcess

WIDTH = 80
PAGES = [*(words for words, _ in GROUPS), *(leaf.words for leaf in LEAVES)]
_CUT = re.compile(r"\w… *│")


@pytest.mark.parametrize("words", PAGES, ids=lambda words: " ".join(["meshproxy", *words]))
def test_nothing_is_cut_off(run: InProcess, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    page = run(*words, "--help").stdout
    assert max(len(line) for line in page.splitlines()) <= WIDTH
    assert not _CUT.search(page), page
    assert "<str>" not in page.partition("─ Options ─")[2], "a value has no name"


def test_the_first_page_says_how_to_begin(run: InProcess) -> None:
    page = run("--help").stdout
    assert "Begin with" in page
    start = page[page.index("Start here") : page.index("Agents")]
    assert re.findall(r"│ (\w+) ", start) == ["setup", "usage", "doctor"]
