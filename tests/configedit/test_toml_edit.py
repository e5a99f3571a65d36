import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshproxy_cli.configedit.toml_edit import edit_toml, table_in
from meshproxy_cli.configedit.toml_lines import TomlError
from meshproxy_cli.errors import UsageError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def add(document: "TOMLDocument") -> None:
    table_in(document, "a", "b")["c"] = 1


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# only a comment\n",
        "[a]\nx = 1\n",
        "[a.b]\n# c = 0\n",
        "a = { b = { d = 2 } }\n",
        "a.x = 1\n",
        "[[z]]\n[[z]]\n[a]\n",
        't = """\n[a.b]\nc = 0\n"""\n',
    ],
)
def test_a_value_arrives_whatever_the_tables_look_like(tmp_path: Path, before: str) -> None:
    path = tmp_path / "file"
    path.write_text(before)
    assert edit_toml(path, add, tomllib.loads) is True
    after = tomllib.loads(path.read_text())
    assert after["a"]["b"]["c"] == 1
    after["a"]["b"].pop("c")
    expected = tomllib.loads(before)
    assert after == expected | {"a": {**expected.get("a", {}), "b": expected.get("a", {}).get("b", {})}}


def test_windows_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\n[a]\r\nx = 1\r\n")
    edit_toml(path, add, tomllib.loads)
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbf# mine\r\n")
    assert data.count(b"\n") == data.count(b"\r\n") > 3


def test_what_the_check_refuses_is_not_written(tmp_path: Path) -> None:
    def refuse(_text: str) -> None:
        raise UsageError("no")

    (tmp_path / "file").write_text("x = 1\n")
    with pytest.raises(UsageError):
        edit_toml(tmp_path / "file", add, refuse)
    assert (tmp_path / "file").read_text() == "x = 1\n"


def test_what_is_no_toml_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x = 1\nx y\n")
    with pytest.raises(TomlError, match="file:2: this is no TOML"):
        edit_toml(tmp_path / "file", add, tomllib.loads)
    assert (tmp_path / "file").read_text() == "x = 1\nx y\n"
