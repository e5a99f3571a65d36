"""One table of `server.toml`: what is wrong is named, what is misspelled is not ignored."""

import pytest

from meshproxy_cli.proxy.config.sections import Section

GOOD = {"flag": True, "number": 2, "seconds": 0, "whole": 3, "text": "x", "choice": "b"}


def read(table: object) -> tuple[list[object], list[str]]:
    problems: list[str] = []
    section = Section({"t": table}, "t", problems)
    values = [
        section.flag("flag"),
        section.number("number", 1.5),
        section.seconds("seconds"),
        section.whole("whole", " of days", most=9),
        section.text("text"),
        section.choice("choice", ("a", "b")),
    ]
    section.close()
    return values, problems


def test_values_and_defaults() -> None:
    assert read(GOOD) == ([True, 2.0, 0.0, 3, "x", "b"], [])
    assert read({}) == ([False, 1.5, None, None, "", "a"], [])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("flag", 1, "t.flag must be true or false"),
        ("number", True, "t.number must be a number above 0"),
        ("number", 0, "t.number must be a number above 0"),
        ("number", float("nan"), "t.number must be a number above 0"),
        ("number", float("inf"), "t.number must be a number above 0"),
        ("seconds", -1, "t.seconds must be a number of seconds, 0 or more"),
        ("whole", 1.0, "t.whole must be a whole number of days, 1 to 9"),
        ("whole", 10, "t.whole must be a whole number of days, 1 to 9"),
        ("text", 1, "t.text must be a text"),
        ("choice", ["a"], 't.choice must be "a" or "b"'),
    ],
)
def test_a_wrong_value_is_named_and_the_default_stands(key: str, value: object, said: str) -> None:
    values, problems = read({key: value})
    assert problems == [said]
    assert values == read({})[0]


def test_an_unknown_key_and_no_table() -> None:
    assert read({"flga": True})[1] == [
        "t.flga is not known; there are t.flag, t.number, t.seconds, t.whole, t.text, t.choice"
    ]
    assert read(1)[1] == ["[t] must be a table; it can have t.flag, t.number, t.seconds, t.whole, t.text, t.choice"]
