"""Text from outside on a terminal."""

import json

import pytest

from meshproxy_cli.terminal import escape_json, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ñ 名前", "plain ñ 名前"),
        ("no\u00a0break\u3000", "no\u00a0break\u3000"),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\r\nsignature valid", "a\\r\\nsignature valid"),
        ("\u202egnp\u2066", "\\u202egnp\\u2066"),
        ("\x9b31m\x7f\u2028\u200b\ufeff", "\\x9b31m\\x7f\\u2028\\u200b\\ufeff"),
        ("\udc9b", "\\udc9b"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    made = escape_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(made) == {"a": text}
    assert printable(made) == made


def test_lines_of_a_document_stay() -> None:
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"
