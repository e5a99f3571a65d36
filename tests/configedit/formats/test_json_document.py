"""JSON in place: style, comments, commas."""

import json

import pytest

from meshproxy_cli.configedit.formats.document import Change, FormatError, Raw
from meshproxy_cli.configedit.formats.json_document import JsonDocument


def put(text: str, *changes: Change) -> str:
    document = JsonDocument(text.encode())
    document.put(changes)
    return document.render().decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "k": 1\n}\n'),
        ("{}\n", '{\n  "k": 1\n}\n'),
        ('{"a":1}', '{"a":1,"k":1}'),
        ('{"a": 1}', '{"a": 1, "k": 1}'),
        ('{\n    "a": 1\n}\n', '{\n    "a": 1,\n    "k": 1\n}\n'),
        ('{\n\t"a": {}\n}', '{\n\t"a": {},\n\t"k": 1\n}'),
        ('{\r\n  "a": 1\r\n}\r\n', '{\r\n  "a": 1,\r\n  "k": 1\r\n}\r\n'),
        ('{\n  "a": 1 // why\n}', '{\n  "a": 1, // why\n  "k": 1\n}'),
        ('{\n  "a": 1, // why\n}', '{\n  "a": 1, // why\n  "k": 1,\n}'),
        ('\ufeff{"a": 1}', '\ufeff{"a": 1, "k": 1}'),
        ('{ "k" : 0 }', '{ "k" : 1 }'),
    ],
)
def test_a_key_is_added_in_the_style_of_the_file(before: str, after: str) -> None:
    assert put(before, Change(("k",), 1)) == after


def test_missing_objects_are_made() -> None:
    assert json.loads(put("{}", Change(("a", "b", "c"), [{"x": 1}]), Change(("a", "d"), 2))) == {
        "a": {"b": {"c": [{"x": 1}]}, "d": 2}
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": 1, "k": 2}', '{"a": 1}'),
        ('{"k": 2, "a": 1}', '{ "a": 1}'),
        ('{\n  "k": 2,\n  "a": 1\n}', '{\n  "a": 1\n}'),
        ('{\n  "a": 1, // why\n  "k": 2\n}', '{\n  "a": 1 // why\n}'),
        ('{\n  "a": 1,\n  "k": 2,\n}', '{\n  "a": 1,\n}'),
        ('{\n  "k": 2\n}', "{}"),
        ('{\n  // why\n  "k": 2\n}', "{\n  // why\n}"),
        ('{"a": 1, /* , */ "k": 2}', '{"a": 1 /* , */}'),
    ],
)
def test_a_key_is_removed_with_its_comma(before: str, after: str) -> None:
    document = JsonDocument(before.encode())
    document.drop(("k",))
    assert document.render().decode() == after


def test_only_empty_objects_are_pruned() -> None:
    document = JsonDocument(b'{"a": {}, "b": {"c": 1}, "d": {/* mine */}}')
    for key in ("a", "b", "d", "nothing"):
        document.prune((key,))
    assert document.render() == b'{ "b": {"c": 1}, "d": {/* mine */}}'


def test_of_two_members_with_one_name_the_last_counts() -> None:
    assert put('{"k": 1, "k": 2}', Change(("k",), 3)) == '{"k": 1, "k": 3}'


def test_raw_text_comes_back_as_it_was() -> None:
    text = '{"k": [1,\t2e5], "z": 0}'
    document = JsonDocument(text.encode())
    raw = document.raw(("k",))
    assert raw == "[1,\t2e5]"
    document.put([Change(("k",), "x")])
    document.put([Change(("k",), Raw(raw))])
    assert document.render().decode() == text


def test_raw_text_can_go_into_an_object_that_is_made_again() -> None:
    assert json.loads(put("{}", Change(("env", "A"), Raw('"x\\u00e9"')))) == {"env": {"A": "xé"}}


BROKEN = (
    "[]",
    "{",
    '{"a": }',
    '{"a": 1,, "b": 2}',
    "{'a': 1}",
    '{"a": NaN}',
    '{"a": 01}',
    '{"a": "\n"}',
    "{} x",
    "[" * 5000,
    '{"a": /* open',
    "nul",
)


@pytest.mark.parametrize("text", BROKEN)
def test_what_does_not_parse_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        JsonDocument(text.encode())


def test_a_parent_of_another_kind_is_refused() -> None:
    with pytest.raises(FormatError, match="env"):
        put('{"env": "x"}', Change(("env", "A"), "1"))
    with pytest.raises(FormatError, match="env"):
        put('{"env": null}', Change(("env", "A"), "1"))
