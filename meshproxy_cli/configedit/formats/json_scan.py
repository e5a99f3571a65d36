"""Where each member of a JSON text stands.

Comments and trailing commas are followed too (JSONC): several agents accept them in their settings.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from meshproxy_cli.configedit.formats.document import FormatError, ParseError

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(slots=True)
class Node:
    """A value from `start` to `end`; an object has `members`, all others a `value`."""

    start: int
    end: int = 0
    value: Any = None
    members: "list[Member] | None" = None
    trailing_comma: bool = False

    def plain(self) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the value as the standard parser gives it (of two members with one name the last)."""
        if self.members is not None:
            return {member.key: member.node.plain() for member in self.members}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def member(self, key: str) -> "Member | None":
        """Return the member that counts: the last one of that name."""
        return next((member for member in reversed(self.members or []) if member.key == key), None)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object: its name begins at `start`."""

    key: str
    start: int
    node: Node


@dataclass(slots=True)
class Scan:
    """A scanned text: the top value, and the comments in their order."""

    top: Node
    comments: list[str] = field(default_factory=list)


def scan(text: str) -> Scan:
    """Return where everything stands; raise `FormatError` with line and column if the text is not valid JSON."""
    scanner = _Scanner(text)
    try:
        place = scanner.gap(0)
        top = scanner.value(place)
        if scanner.gap(top.end) != len(text):
            scanner.fail(scanner.gap(top.end), "more text after the end")
    except (RecursionError, ValueError) as problem:
        raise FormatError(f"invalid JSON: {type(problem).__name__}") from None
    return Scan(top, scanner.comments)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.comments: list[str] = []

    def fail(self, place: int, what: str) -> NoReturn:
        line = self.text.count("\n", 0, place) + 1
        column = place - (self.text.rfind("\n", 0, place) + 1) + 1
        raise ParseError("JSON", what, line, column)

    def gap(self, place: int) -> int:
        """Skip white space and comments."""
        text = self.text
        while True:
            match = _SPACE.match(text, place)
            place = match.end() if match else place
            if text.startswith("//", place):
                end = text.find("\n", place)
                end = len(text) if end < 0 else end
            elif text.startswith("/*", place):
                end = text.find("*/", place + 2) + 2
                if end < 2:  # noqa: PLR2004 (not found: -1 and the length of the mark)
                    self.fail(place, "a comment without end")
            else:
                return place
            self.comments.append(text[place:end].rstrip("\r"))
            place = end

    def value(self, place: int) -> Node:
        character = self.text[place : place + 1]
        if character == "{":
            return self._object(place)
        if character == "[":
            return self._array(place)
        if character == '"':
            value, end = self._string(place)
            return Node(place, end, value)
        for word, meaning in _WORDS.items():
            if self.text.startswith(word, place):
                return Node(place, place + len(word), meaning)
        match = _NUMBER.match(self.text, place)
        if match is None:
            self.fail(place, "no value")
        return Node(place, match.end(), json.loads(match.group()))

    def _string(self, place: int) -> tuple[str, int]:
        match = _STRING.match(self.text, place)
        if match is None:
            self.fail(place, "no proper string")
        return json.loads(match.group()), match.end()

    def _object(self, start: int) -> Node:
        members: list[Member] = []
        node = Node(start, members=members)
        place = self.gap(start + 1)
        while not self.text.startswith("}", place):
            key, end = self._string(place)
            colon = self.gap(end)
            if not self.text.startswith(":", colon):
                self.fail(colon, "no colon")
            value = self.value(self.gap(colon + 1))
            members.append(Member(key, place, value))
            place = self._comma(node, value.end, "}")
        node.end = place + 1
        return node

    def _array(self, start: int) -> Node:
        items: list[Node] = []
        node = Node(start, value=items)
        place = self.gap(start + 1)
        while not self.text.startswith("]", place):
            items.append(self.value(place))
            place = self._comma(node, items[-1].end, "]")
        node.end = place + 1
        return node

    def _comma(self, node: Node, place: int, close: str) -> int:
        """Go on behind a comma or to the closing bracket."""
        place = self.gap(place)
        if self.text.startswith(",", place):
            place = self.gap(place + 1)
            node.trailing_comma = self.text.startswith(close, place)
        elif not self.text.startswith(close, place):
            self.fail(place, f"no comma and no {close}")
        return place
