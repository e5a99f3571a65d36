"""Our block in files of lines."""

import pytest

from meshproxy_cli.configedit.formats.block_document import BlockDocument
from meshproxy_cli.configedit.formats.document import Change, FormatError
from meshproxy_cli.configedit.formats.yaml_block_document import YamlBlockDocument


def test_a_block_is_added_changed_and_removed() -> None:
    document = BlockDocument(b"A=1\n# mine")
    document.put([Change(("claude",), "X=1\n")])
    text = b"A=1\n# mine\n\n# >>> meshproxy claude >>>\nX=1\n# <<< meshproxy claude <<<\n"
    assert document.render() == text
    document.put([Change(("claude",), "X=2\n")])
    assert document.raw(("claude",)) == "X=2\n"
    document.drop(("claude",))
    assert document.render() == b"A=1\n# mine\n"


def test_line_ends_stay() -> None:
    document = BlockDocument(b"A=1\r\n")
    document.put([Change(("x",), "B=2\n")])
    assert document.render().count(b"\r\n") == document.render().count(b"\n") == 5
    assert document.raw(("x",)) == "B=2\n"


def test_a_block_without_end_is_refused() -> None:
    with pytest.raises(FormatError, match="no end"):
        BlockDocument(b"# >>> meshproxy x >>>\nA=1\n").plain()


def test_yaml_lists_and_mappings_go_on() -> None:
    listed = YamlBlockDocument(b"- name: a # mine\n")
    listed.put([Change(("x",), "- name: b\n")])
    assert listed.render().startswith(b"- name: a # mine\n")
    mapped = YamlBlockDocument(b"a: 1\n")
    mapped.put([Change(("x",), "b: 2\n")])
    assert b"b: 2" in mapped.render()


@pytest.mark.parametrize(
    "text", ["a: 0\n", "- 1\n", "  a: 1\n   b: : 2\n", "{c: 1}\n", "text\n", "c: |\n  text\n\n d: 1\n"]
)
def test_yaml_that_does_not_go_on_is_refused(text: str) -> None:
    document = YamlBlockDocument(text.encode())
    document.put([Change(("x",), "a: 1\n")])
    with pytest.raises(FormatError):
        document.render()
