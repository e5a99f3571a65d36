"""Where each statement of a TOML document stands: headers, pairs, comments, blank lines.

The text must have been parsed before: the scanner finds places and leaves judging to the parser.
Strings, multi-line strings, nested arrays and comments inside them are followed, so that nothing in them is mistaken
for a header or a key (TOML 1.1, https://toml.io/en/v1.1.0).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from meshproxy_cli.configedit.formats.toml_parser import parse

_BARE = re.compile(r"[A-Za-z0-9_. \t-]+")
ScanPath = tuple[str | int, ...]  # a number stands for a place in an array of tables


class Kind(Enum):
    """What a statement is."""

    BLANK = auto()
    COMMENT = auto()
    HEADER = auto()
    PAIR = auto()


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement from `start` to `end` (its line ending included) and the absolute path of what it defines."""

    kind: Kind
    start: int
    end: int
    path: ScanPath = ()
    table: ScanPath = ()  # the path of the header above
    value: tuple[int, int] = (0, 0)
    comments: tuple[str, ...] = ()
    tail: int = 0  # where a comment behind the value begins; 0 if there is none


class _Paths:
    """Turns headers into absolute paths, counting the elements of arrays of tables."""

    def __init__(self) -> None:
        self._last: dict[ScanPath, int] = {}

    def of_header(self, header: str) -> ScanPath:
        is_array = header.startswith("[[")
        keys = _keys(header.strip("[]"))
        path: ScanPath = ()
        for index, key in enumerate(keys):
            path = (*path, key)
            if is_array and index == len(keys) - 1:
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
        return path


def scan(text: str) -> list[Statement]:
    """Return all statements in order; together they are the whole text."""
    return list(_statements(text))


def _statements(text: str) -> Iterator[Statement]:
    paths = _Paths()
    table: ScanPath = ()
    start = 0
    while start < len(text):
        first = _skip(text, start, " \t")
        if first >= len(text) or text[first] in "\r\n":
            statement = Statement(Kind.BLANK, start, _line_end(text, first), table=table)
        elif text[first] == "#":
            statement = _comment(text, start, first, table)
        elif text[first] == "[":
            statement = _header(text, start, first, paths)
            table = statement.path
        else:
            statement = _pair(text, start, first, table)
        yield statement
        start = statement.end


def _comment(text: str, start: int, first: int, table: ScanPath) -> Statement:
    end = _line_end(text, first)
    return Statement(Kind.COMMENT, start, end, table=table, comments=(text[first:end].rstrip("\r\n"),))


def _header(text: str, start: int, first: int, paths: _Paths) -> Statement:
    close = _key_end(text, first, "]")
    close += 2 if text.startswith("[[", first) else 1
    comment, tail, end = _rest_of_line(text, close)
    path = paths.of_header(text[first:close])
    return Statement(Kind.HEADER, start, end, path, path, (first, close), comment, tail)


def _pair(text: str, start: int, first: int, table: ScanPath) -> Statement:
    equals = _key_end(text, first, "=")
    keys = _keys(text[first:equals])
    value = _skip(text, equals + 1, " \t")
    value_end, inner = _value_end(text, value)
    comment, tail, end = _rest_of_line(text, value_end)
    return Statement(Kind.PAIR, start, end, (*table, *keys), table, (value, value_end), (*inner, *comment), tail)


def _keys(dotted: str) -> tuple[str, ...]:
    """Return the parts of a dotted key; quoted ones are left to the parser."""
    if _BARE.fullmatch(dotted):
        return tuple(part.strip(" \t") for part in dotted.split("."))
    parsed: Any = parse(f"{dotted}= 0")
    keys: tuple[str, ...] = ()
    while isinstance(parsed, dict):
        key = next(iter(parsed))
        keys, parsed = (*keys, key), parsed[key]
    return keys


def _skip(text: str, position: int, characters: str) -> int:
    while position < len(text) and text[position] in characters:
        position += 1
    return position


def _line_end(text: str, position: int) -> int:
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _key_end(text: str, position: int, stop: str) -> int:
    while text[position] != stop:
        position = _string_end(text, position) if text[position] in "\"'" else position + 1
    return position


def _string_end(text: str, position: int) -> int:
    quote = text[position]
    if text.startswith(quote * 3, position):
        return _long_string_end(text, position + 3, quote)
    position += 1
    while text[position] != quote:
        position += 2 if quote == '"' and text[position] == "\\" else 1
    return position + 1


def _long_string_end(text: str, position: int, quote: str) -> int:
    while not text.startswith(quote * 3, position):
        position += 2 if quote == '"' and text[position] == "\\" else 1
    # Up to two quotes may stand directly before the closing three.
    end = position + 3
    while end < position + 5 and text.startswith(quote, end):
        end += 1
    return end


def _value_end(text: str, position: int) -> tuple[int, tuple[str, ...]]:
    depth, end, comments = 0, position, []
    while position < len(text):
        character = text[position]
        if character in "\"'":
            position = end = _string_end(text, position)
            continue
        if character == "#":
            if not depth:
                break
            line_end = _line_end(text, position)
            comments.append(text[position:line_end].rstrip("\r\n"))
            position = line_end
            continue
        if character in "\r\n" and not depth:
            break
        depth += (character in "[{") - (character in "]}")
        position += 1
        if character not in " \t":
            end = position
    return end, tuple(comments)


def _rest_of_line(text: str, position: int) -> tuple[tuple[str, ...], int, int]:
    end = _line_end(text, position)
    first = _skip(text, position, " \t")
    if first < len(text) and text[first] == "#":
        return (text[first:end].rstrip("\r\n"),), first, end
    return (), 0, end
