"""docs/command-line.md has the keys of all that `--json` prints."""

import re
from pathlib import Path
from typing import Any

from fixtures.in_process import InProcess
from fixtures.read_only_commands import READING

PAGE = Path(__file__).resolve().parents[2] / "docs" / "command-line.md"
_ROW = re.compile(r"^\| `([a-z -]+?)(?: --list)?` \| (\S*) ?\| (.+) \|$", re.MULTILINE)
ROWS = _ROW.findall(PAGE.read_text("utf-8"))
CREATED = {"access create": ("viewer-1",), "api-key create": ("key-1",)}


def test_every_command_with_json_is_there() -> None:
    expected = {name for name, reading in READING.items() if reading.json} - {"usage tail"}
    assert {name for name, _, _ in ROWS} == expected | CREATED.keys()


def test_keys_are_those_that_are_printed(furnished: InProcess) -> None:
    token = furnished("token", "get", "--room", "research").stdout.strip()
    for name, where, keys in ROWS:
        arguments = CREATED[name] if name in CREATED else READING[name].arguments
        words = [token if word == "TOKEN" else word for word in arguments]
        found = at(furnished(*name.split(), *words, "--json", code=None).json(), where)
        assert set(found) - {"schema_version"} == set(keys.split(", ")), name
        furnished("access", "revoke", "viewer-1", "--yes", code=None)


def at(value: Any, where: str) -> Any:
    """Follow `a[]` and `a.b`: an array stands for its first item."""
    for part in filter(None, where.split(".")):
        value = value[part.removesuffix("[]")]
        value = value[0] if part.endswith("[]") else value
    return value
