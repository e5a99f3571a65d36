"""docs/troubleshooting.md is keyed by the exact text of errors: every refusal is found there, and no key is stale."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
PACKAGE = ROOT / "meshproxy_cli"
#: Where refusals are written; their messages reach a person at an agent.
REFUSING = (*sorted((PACKAGE / "proxy").rglob("*.py")), *sorted((PACKAGE / "tokens").glob("*.py")))
_MAKERS = {"refuse": 2, "Refusal": None, "TokenError": 1}  # at which place the message stands
_GAP = "…"  # what an error says at run time
_FEWEST_LETTERS = 12  # less says nothing by itself
_ROW = re.compile(r"^\| (.+?) \| .+ \| .+ \|$", re.MULTILINE)
_KEY = re.compile(r"(?<!`)(`{1,2})(?!`)(.+?)(?<!`)\1(?!`)")
_OF_AGENTS = ("(Codex)", "(Claude Code)")


def keys(*, ours: bool) -> list[str]:
    """Return the texts by which errors are found: ours, or those of the agents themselves."""
    cells = [cell for cell in _ROW.findall(PAGE.read_text(encoding="utf-8")) if "`" in cell and cell[0] == "`"]
    chosen = [cell for cell in cells if cell.endswith(_OF_AGENTS) is not ours]
    return [_GAP.join(found[1].strip() for found in _KEY.findall(cell)) for cell in chosen]


def said(node: ast.expr | None) -> str:
    """Return a string expression's text with a gap for everything that is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(said(value) for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return said(left) + said(right)
    return _GAP


@cache
def trees(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def names_in(tree: ast.AST) -> dict[str, str]:
    """Return what strings the names in a module stand for."""
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name))
    return {node.targets[0].id: said(node.value) for node in found if isinstance(node.targets[0], ast.Name)}


def refusals() -> Iterator[str]:
    """Return the messages of every refusal, as far as they are written out."""
    for path in REFUSING:
        tree = trees(path)
        names = names_in(tree)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            if name in _MAKERS:
                yield _message(call, _MAKERS[name], names)


def _message(call: ast.Call, place: int | None, names: dict[str, str]) -> str:
    named = next((one.value for one in call.keywords if one.arg == "message"), None)
    node = call.args[place] if named is None and place is not None and len(call.args) > place else named
    return names.get(node.id, "") if isinstance(node, ast.Name) else said(node)


@cache
def everything_said() -> frozenset[str]:
    """Return every text in the package's source."""
    nodes = chain.from_iterable(ast.walk(trees(path)) for path in PACKAGE.rglob("*.py"))
    return frozenset(said(node) for node in nodes if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp))


def matches(key: str, text: str) -> bool:
    """Whether the key's words stand in the text, with anything in its gaps."""
    return re.search(".*".join(map(re.escape, key.split(_GAP))), text, re.DOTALL) is not None


MESSAGES = sorted({text for text in refusals() if len(re.sub(r"\W|Room Proxy", "", text)) >= _FEWEST_LETTERS})


def test_the_refusals_are_found() -> None:
    assert len(MESSAGES) > 20
    assert any("Meshagent-Session is missing" in text for text in MESSAGES)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_refusal_is_on_the_page(message: str) -> None:
    assert [key for key in keys(ours=True) if matches(key, message)], f"no row of {PAGE.name} is found by: {message}"


@pytest.mark.parametrize("key", keys(ours=True))
def test_no_key_is_stale(key: str) -> None:
    assert any(matches(key, text) for text in everything_said()), f"nothing says {key!r} any more"
