"""A document with the place of every value, so that what is wrong with it can be pointed at."""

import json
from dataclasses import dataclass, replace
from typing import Self, TypeAlias

from meshproxy_cli.tokens.jws import Json


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: in a file (line and column counted from 1), or in an option of the command line."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text, number, truth value or null; `plain` where it was written without quotes."""

    place: Place
    text: str
    plain: bool


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value; `place` is the key's."""

    place: Place
    key: str
    value: "Node"


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; a key may stand in it more than once, which is for its reader to refuse."""

    place: Place
    entries: tuple[Entry, ...]

    def with_value(self, path: tuple[str, ...], value: "Node") -> Self:
        """Return a copy in which `path` leads to `value`, mappings made on the way where there are none."""
        key, rest = path[0], path[1:]
        found = next((entry for entry in self.entries if entry.key == key), None)
        if rest:
            inner = found.value if found is not None and isinstance(found.value, Table) else Table(value.place, ())
            value = inner.with_value(rest, value)
        entry = Entry(value.place, key, value) if found is None else replace(found, value=value)
        others = tuple(entry if old is found else old for old in self.entries)
        return replace(self, entries=others if found is not None else (*others, entry))


Node: TypeAlias = Scalar | Items | Table


def from_json(value: Json, place: Place) -> Node:
    """Return a JSON value as a document that stands at one place."""
    if isinstance(value, dict):
        return Table(place, tuple(Entry(place, key, from_json(inner, place)) for key, inner in value.items()))
    if isinstance(value, list):
        return Items(place, tuple(from_json(inner, place) for inner in value))
    if isinstance(value, str):
        return Scalar(place, value, plain=False)
    return Scalar(place, json.dumps(value), plain=True)
