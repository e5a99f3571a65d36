"""Every regular expression that may see a client's, provider's or token's bytes reads each of them once."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # how Python itself reads a pattern
from typing import Any

import pytest

from meshproxy_cli import proxy, tokens

SHORT = 256  # so often may something be tried again
REPEATS = {_constants.MAX_REPEAT, _constants.MIN_REPEAT}


def modules() -> Iterator[Any]:
    for package in (proxy, tokens):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def patterns() -> dict[str, re.Pattern[Any]]:
    found: dict[str, re.Pattern[Any]] = {}
    for module in modules():
        classes = [one for one in vars(module).values() if isinstance(one, type) and one.__module__ == module.__name__]
        for owner in (module, *classes):
            found |= {
                f"{owner.__name__}.{name}": value
                for name, value in vars(owner).items()
                if isinstance(value, re.Pattern)
            }
    return found


def backtracking(parsed: Any) -> Iterator[int]:
    """Yield how often each part may be repeated of which the engine may give something back."""
    for operation, value in parsed:
        if operation in REPEATS:
            yield value[1]
        for inner in parts(value):
            yield from backtracking(inner)


def parts(value: Any) -> Iterator[Any]:
    if isinstance(value, _parser.SubPattern):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from parts(one)


def longest(pattern: str | bytes, flags: int = 0) -> int:
    known = flags & ~re.UNICODE if isinstance(pattern, bytes) else flags
    return max(backtracking(_parser.parse(pattern, known)), default=0)


@pytest.mark.parametrize("name", patterns())
def test_a_pattern_gives_nothing_long_back(name: str) -> None:
    pattern = patterns()[name]
    assert longest(pattern.pattern, pattern.flags) <= SHORT


@pytest.mark.parametrize(
    "pattern", [r"a*b", r"(?:x[ \t]+)?;", rb"(?=a+)", r"(?>b|c*)", r"(a)(?(1)b+|c)", r"(?:ab{2,9999})++", r"a|b+?"]
)
def test_what_gives_back_is_found(pattern: str | bytes) -> None:
    assert longest(pattern) > SHORT


def test_patterns_are_found_in_modules_and_in_classes() -> None:
    assert {"meshproxy_cli.proxy.request.body._FORM", "ChatDialect.plain"} <= patterns().keys()
