"""Picking numbers and names out of JSON that a provider sent: whatever is odd counts as not there."""

from collections.abc import Mapping
from typing import Any

from meshproxy_cli.store.events import TokenCounts

Json = Mapping[str, Any]

_EMPTY: Json = {}
_MOST_TOKENS = 10**12
_LONGEST_NAME = 200


def section(data: Json, *names: str) -> Json:
    """Return the first of these members that is an object; an empty one where none is."""
    for name in names:
        value = data.get(name)
        if isinstance(value, dict):
            return value
    return _EMPTY


def count(data: Json, *names: str) -> int:
    """Return the first of these members that is a number of tokens; 0 where none is."""
    for name in names:
        if (value := known_count(data, name)) is not None:
            return value
    return 0


def known_count(data: Json, name: str) -> int | None:
    """Return that member where it is a sensible number of tokens, else None."""
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= _MOST_TOKENS else None


def name_of(data: Json, key: str) -> str:
    """Return that member where it is text, made safe to store: printable, of bounded length."""
    value = data.get(key)
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value[:_LONGEST_NAME] if character.isprintable())


def summed(one: TokenCounts, other: TokenCounts) -> TokenCounts:
    """Add up two counts."""
    return TokenCounts(**{name: getattr(one, name) + getattr(other, name) for name in TokenCounts.__slots__})


def subtracted(one: TokenCounts, other: TokenCounts) -> TokenCounts:
    """Take one count from another, nothing below zero."""
    return TokenCounts(**{name: max(0, getattr(one, name) - getattr(other, name)) for name in TokenCounts.__slots__})
