from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tomli

from meshproxy_cli.configedit.formats.document import Change
from meshproxy_cli.configedit.toml_edit import edit_toml
from meshproxy_cli.configedit.toml_lines import TomlError
from meshproxy_cli.errors import UsageError

if TYPE_CHECKING:
    from meshproxy_cli.configedit.formats.toml_document import TomlDocument


def add(document: "TomlDocument") -> None:
    document.put([Change(("a", "b", "c"), 1)])


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
        "[a]\n",
        "a = {}\n",
        "[a.b]\n[a.b.x]\ny = 1\n",
        "a = {\n  b = { d = 2, },\n}\n",
    ],
)
def test_a_value_arrives_whatever_the_tables_look_like(tmp_path: Path, before: str) -> None:
    path = tmp_path / "file"
    path.write_text(before)
    assert edit_toml(path, add, tomli.loads) is True
    after = tomli.loads(path.read_text())
    assert after["a"]["b"]["c"] == 1
    after["a"]["b"].pop("c")
    expected = tomli.loads(before)
    assert after == expected | {"a": {**expected.get("a", {}), "b": expected.get("a", {}).get("b", {})}}


def test_windows_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf# mine\r\n[a]\r\nx = 1\r\n")
    edit_toml(path, add, tomli.loads)
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
    with pytest.raises(TomlError, match="file:2:3: invalid TOML"):
        edit_toml(tmp_path / "file", add, tomli.loads)
    assert (tmp_path / "file").read_text() == "x = 1\nx y\n"
