"""A JSON file (comments and trailing commas allowed where they stand already), edited in place."""

import json
from collections.abc import Sequence
from typing import Any

from meshproxy_cli.configedit.formats.document import (
    Change,
    FormatError,
    KeyPath,
    Raw,
    Splice,
    Value,
    decode,
    newline_of,
    splice,
)
from meshproxy_cli.configedit.formats.json_scan import Member, Node, scan

_UNIT = "  "


class JsonDocument:
    """See `Document`. Raises `FormatError` if the text is not a JSON object, when it is opened and after every edit."""

    def __init__(self, data: bytes) -> None:
        self._mark, text = decode(data)
        self._text = text if text.strip() else "{}\n"
        self._newline = newline_of(self._text)
        self._load()

    def plain(self) -> dict[str, Any]:
        values: dict[str, Any] = self._top.plain()
        return values

    def raw(self, path: KeyPath) -> str | None:
        member = self._member(path)
        return None if member is None else self._text[member.node.start : member.node.end]

    def comments(self) -> tuple[str, ...]:
        return tuple(self._comments)

    def put(self, changes: Sequence[Change]) -> None:
        added: dict[KeyPath, dict[str, Any]] = {}
        edits: list[Splice] = []
        for change in changes:
            member = self._member(change.path)
            if member is not None:
                edits.append(Splice(member.node.start, member.node.end, self._written(change.value, member)))
                continue
            holder, rest = self._container(change.path)
            nested: Any = added.setdefault(holder, {})
            for key in rest[:-1]:
                nested = nested.setdefault(key, {})
            nested[rest[-1]] = _nested(change.value) if len(rest) > 1 else change.value
        for holder, members in added.items():
            edits += self._addition(self._object(holder), members)
        self._replace(edits)

    def drop(self, path: KeyPath) -> None:
        member = self._member(path)
        if member is not None:
            self._replace(self._removal(self._object(path[:-1]), member))

    def prune(self, path: KeyPath) -> None:
        member = self._member(path)
        if member is not None and member.node.members == [] and self._is_blank(member.node):
            self.drop(path)

    def render(self) -> bytes:
        return (self._mark + self._text).encode()

    def _load(self) -> None:
        scanned = scan(self._text)
        if scanned.top.members is None:
            raise FormatError("its top level is not a JSON object")
        self._top, self._comments = scanned.top, scanned.comments

    def _replace(self, edits: Sequence[Splice]) -> None:
        self._text = splice(self._text, edits)
        self._load()

    def _member(self, path: KeyPath) -> Member | None:
        node, member = self._top, None
        for key in path:
            member = node.member(key)
            if member is None:
                return None
            node = member.node
        return member

    def _container(self, path: KeyPath) -> tuple[KeyPath, KeyPath]:
        """Return the path of the innermost object that exists already, and the keys below it."""
        depth = 0
        while depth < len(path) - 1 and self._member(path[: depth + 1]) is not None:
            depth += 1
        self._object(path[:depth])
        return path[:depth], path[depth:]

    def _object(self, path: KeyPath) -> Node:
        member = self._member(path)
        node = member.node if member is not None else self._top
        if node.members is None:
            raise FormatError(f"`{'.'.join(path)}` is not a JSON object")
        return node

    def _written(self, value: Value | Raw, member: Member) -> str:
        return self._render(value, self._indent_at(member.start) or "")

    def _addition(self, node: Node, added: dict[str, Any]) -> list[Splice]:
        members = node.members or []
        indent = self._indent_at(members[-1].start) if members else self._indent_at(node.start, fresh=True)
        if members and indent is None:
            return self._addition_in_line(members[-1], added)
        indent = indent or ""
        lines = f",{self._newline}{indent}".join(self._pair(key, value, indent) for key, value in added.items())
        lines = f"{self._newline}{indent}{lines}"
        if not members:
            return self._first_members(node, lines, indent)
        last = members[-1].node.end
        if node.trailing_comma:
            place = self._line_trivia_end(self._text.index(",", self._comma_before(node, last)) + 1)
            return [Splice(place, place, lines + ",")]
        return [Splice(last, last, ","), Splice(place := self._line_trivia_end(last), place, lines)]

    def _addition_in_line(self, last: Member, added: dict[str, Any]) -> list[Splice]:
        colon = ": " if self._text[last.node.start - 1] in " \t" else ":"
        gap = " " if colon == ": " else ""
        pairs = [f"{json.dumps(key, ensure_ascii=False)}{colon}{_in_line(value, gap)}" for key, value in added.items()]
        text = "".join(f",{gap}{pair}" for pair in pairs)
        return [Splice(last.node.end, last.node.end, text)]

    def _first_members(self, node: Node, lines: str, indent: str) -> list[Splice]:
        outer = indent[: -len(_UNIT)] if indent.endswith(_UNIT) else indent[:-1]
        inner = self._text[node.start + 1 : node.end - 1]
        kept = inner.rstrip()
        return [Splice(node.start + 1, node.end - 1, f"{kept}{lines}{self._newline}{outer}")]

    def _removal(self, node: Node, member: Member) -> list[Splice]:
        members = node.members or []
        index = members.index(member)
        before, behind = members[:index], members[index + 1 :]
        start, end = member.start, member.node.end
        floor = before[-1].node.end if before else node.start + 1
        while start > floor and self._text[start - 1] in " \t\r\n":
            start -= 1
        if behind or node.trailing_comma:
            comma = self._comma_before(node, end)
            return [Splice(start, end, ""), Splice(comma, comma + 1, "")]
        if not before:
            closing = node.end - 1
            rest = self._text[end:closing]
            return [Splice(start, closing, "")] if not rest.strip() and start == floor else [Splice(start, end, "")]
        comma = self._comma_before(node, floor)
        return [Splice(comma, comma + 1, ""), Splice(max(start, comma + 1), end, "")]

    def _comma_before(self, node: Node, place: int) -> int:
        """Return where the comma stands that follows a value's end."""
        while place < node.end and self._text[place] != ",":
            if self._text.startswith("//", place):
                place = self._text.index("\n", place)
            elif self._text.startswith("/*", place):
                place = self._text.index("*/", place) + 1
            place += 1
        return place

    def _line_trivia_end(self, place: int) -> int:
        """Return the end of blanks and comments that follow on the same line."""
        end = place
        while end < len(self._text):
            if self._text.startswith("/*", end):
                end = place = self._text.index("*/", end) + 2
            elif self._text.startswith("//", end):
                line = self._text.find("\n", end)
                line = len(self._text) if line < 0 else line
                return line - 1 if self._text[line - 1] == "\r" else line
            elif self._text[end] in " \t":
                end += 1
            else:
                break
        return place

    def _is_blank(self, node: Node) -> bool:
        return not self._text[node.start + 1 : node.end - 1].strip()

    def _indent_at(self, place: int, *, fresh: bool = False) -> str | None:
        """Return the white space before `place` if nothing else stands before it on its line.

        With `fresh` return what the members of a still empty object at `place` are to be indented with.
        """
        start = self._text.rfind("\n", 0, place) + 1
        line = self._text[start:place]
        blank = line[: len(line) - len(line.lstrip(" \t"))]
        if fresh:
            return blank + ("\t" if blank.startswith("\t") else _UNIT)
        return blank if blank == line and start else None

    def _pair(self, key: str, value: Any, indent: str) -> str:  # noqa: ANN401 (any JSON value)
        return f"{json.dumps(key, ensure_ascii=False)}: {self._render(value, indent)}"

    def _render(self, value: Any, indent: str) -> str:  # noqa: ANN401 (any JSON value)
        if isinstance(value, Raw):
            return value.text
        unit = "\t" if indent.startswith("\t") else _UNIT
        lines = json.dumps(value, indent=unit, ensure_ascii=False).split("\n")
        return f"{self._newline}{indent}".join(lines)


def _in_line(value: Any, gap: str) -> str:  # noqa: ANN401 (any JSON value)
    if isinstance(value, Raw):
        return value.text
    return json.dumps(value, ensure_ascii=False, separators=(f",{gap}", f":{gap}"))


def _nested(value: Value | Raw) -> Any:  # noqa: ANN401 (any JSON value)
    """Return what a text from before says: inside an object that is made again it is written like the rest."""
    return json.loads(value.text) if isinstance(value, Raw) else value
