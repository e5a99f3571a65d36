"""Statements of TOML documents stand where the scanner says."""

from meshproxy_cli.configedit.formats.toml_scan import Kind, scan

TEXT = """\
# top
key = "a # b" # tail
"quoted.key" . 'x' = [ # inner
  "]", '''
[no.header]
''' ]
[ table . "in ner" ] # head
  k=1
[[list]]
n = 1
[list.sub]
m = \"\"\"x\\\"\"\"\"\"\"
[[list]]
n = 2
"""


def test_statements_cover_the_text() -> None:
    found = scan(TEXT)
    assert "".join(TEXT[item.start : item.end] for item in found) == TEXT
    assert [item.path for item in found if item.kind is Kind.PAIR] == [
        ("key",),
        ("quoted.key", "x"),
        ("table", "in ner", "k"),
        ("list", 0, "n"),
        ("list", 0, "sub", "m"),
        ("list", 1, "n"),
    ]
    assert [comment for item in found for comment in item.comments] == ["# top", "# tail", "# inner", "# head"]


def test_values_are_without_their_tail() -> None:
    pairs = [item for item in scan(TEXT) if item.kind is Kind.PAIR]
    assert TEXT[slice(*pairs[0].value)] == '"a # b"'
    assert TEXT[pairs[0].tail :].startswith("# tail")
    assert TEXT[slice(*pairs[1].value)].endswith("''' ]")
