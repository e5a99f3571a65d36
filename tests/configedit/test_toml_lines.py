from meshproxy_cli.configedit.toml_lines import line_of

TEXT = """\
# a comment: url = "no"
current = "a"
text = '''
[servers.a]
url = "inside of text"
'''

[servers.a]
url = "x"  # the one
"servers.b".url = 5
servers-b = { url = 1 }
"""


def test_lines_are_those_of_the_keys_and_not_of_text_that_looks_alike() -> None:
    assert line_of(TEXT, ("current",)) == 2
    assert line_of(TEXT, ("text",)) == 6
    assert line_of(TEXT, ("servers", "a")) == 8
    assert line_of(TEXT, ("servers", "a", "url")) == 9
    assert line_of(TEXT, ("servers", "a", "servers.b", "url")) == 10


def test_a_key_that_is_not_there_has_the_first_line() -> None:
    assert line_of(TEXT, ("nothing",)) == 1
    assert line_of("", ("nothing",)) == 1


def test_windows_line_ends_count_once() -> None:
    assert line_of("a = 1\r\nb = 2\r\n", ("b",)) == 2
