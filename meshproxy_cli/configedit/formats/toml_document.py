"""A TOML file, edited in place.

tomlkit writes values and keys and edits inline tables; `tomli` reads. Places come from our own scanner, because a
removal through tomlkit takes along the comments that follow a table.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import tomlkit

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
from meshproxy_cli.configedit.formats.toml_parser import parse
from meshproxy_cli.configedit.formats.toml_scan import Kind, Statement, scan


class TomlDocument:
    """See `Document`. Raises `FormatError` if the text is not valid TOML, when it is opened and after every edit."""

    def __init__(self, data: bytes) -> None:
        self._mark, self._text = decode(data)
        self._newline = newline_of(self._text)
        self._load()

    def plain(self) -> dict[str, Any]:
        return self._values

    def raw(self, path: KeyPath) -> str | None:
        for statement in self._pairs():
            if statement.path == path:
                return self._text[slice(*statement.value)]
            if statement.path == path[: len(statement.path)]:
                return self._inline_raw(statement, path)
        return None

    def comments(self) -> tuple[str, ...]:
        return tuple(comment for statement in self._statements for comment in statement.comments)

    def put(self, changes: Sequence[Change]) -> None:
        added: dict[KeyPath, list[Change]] = {}
        edits: list[Splice] = []
        for change in changes:
            holder = self._holder(change.path)
            if holder is None:
                added.setdefault(change.path[:-1], []).append(change)
            elif holder.path == change.path:
                edits.append(Splice(*holder.value, _render(change.value)))
            else:
                self._edit_inline(holder, change.path, change.value)
                self.put([later for later in changes if later is not change])
                return
        sections = ""
        for table, group in added.items():
            edit = self._addition(table, group)
            if edit is None:
                sections += self._section(table, group)
            else:
                edits.append(edit)
        self._replace([*edits, *self._appended(sections, alone=not edits and not self._text)])

    def drop(self, path: KeyPath) -> None:
        holder = self._holder(path)
        if holder is None:
            return
        if holder.path != path:
            self._edit_inline(holder, path, None)
            return
        self._replace([self._removal(holder)])

    def drop_table(self, path: KeyPath) -> None:
        """Remove a table with all that is below it; comments before it and after its last key stay."""
        edits: list[Splice] = []
        start = end = -1
        for statement in self._statements:
            if statement.kind is Kind.HEADER:
                edits += [Splice(start, end, "")] if start >= 0 else []
                inside = statement.path[: len(path)] == path
                start, end = (self._gap_before(statement), statement.end) if inside else (-1, -1)
            elif statement.kind is Kind.PAIR and start >= 0:
                end = statement.end
            elif statement.kind is Kind.PAIR and statement.path[: len(path)] == path:
                edits.append(self._removal(statement))
        edits += [Splice(start, end, "")] if start >= 0 else []
        holder = self._holder(path)
        self._replace(edits)
        if holder is not None and len(holder.path) < len(path):
            self._edit_inline(holder, path, None)

    def prune(self, path: KeyPath) -> None:
        holder = self._holder(path)
        if holder is not None:
            if self._inline_value(holder, path) == {}:
                self.drop(path)
            return
        if any(statement.path[: len(path)] == path for statement in self._pairs()):
            return
        edits = [
            self._removal(statement, with_gap=True)
            for statement in self._statements
            if statement.kind is Kind.HEADER and statement.path == path
        ]
        if edits and not self._has_tables_below(path):
            self._replace(edits)

    def render(self) -> bytes:
        return (self._mark + self._text).encode()

    def _load(self) -> None:
        self._values = parse(self._text)
        self._statements = scan(self._text)

    def _replace(self, edits: Sequence[Splice]) -> None:
        self._text = splice(self._text, edits)
        self._load()

    def _pairs(self) -> Iterator[Statement]:
        return (statement for statement in self._statements if statement.kind is Kind.PAIR)

    def _holder(self, path: KeyPath) -> Statement | None:
        for statement in self._pairs():
            if statement.path == path[: len(statement.path)]:
                return statement
        return None

    def _has_tables_below(self, path: KeyPath) -> bool:
        return any(
            statement.kind is Kind.HEADER and statement.path != path and statement.path[: len(path)] == path
            for statement in self._statements
        )

    def _removal(self, statement: Statement, *, with_gap: bool = False) -> Splice:
        if statement.tail:
            return Splice(statement.start, statement.tail, "")
        start = self._gap_before(statement) if with_gap else statement.start
        return Splice(start, statement.end, "")

    def _gap_before(self, statement: Statement) -> int:
        """Return where a statement begins, a blank line above it included."""
        index = self._statements.index(statement)
        above = self._statements[index - 1] if index else None
        return above.start if above is not None and above.kind is Kind.BLANK else statement.start

    def _addition(self, table: KeyPath, group: Sequence[Change]) -> Splice | None:
        """Return the edit that adds keys to a table that is there, or None if there is none yet."""
        section = [item for item in self._statements if item.table == table]
        if table and not any(item.kind is Kind.HEADER for item in section):
            return self._dotted_sibling(table, group)
        after = [item for item in section if item.kind in {Kind.HEADER, Kind.PAIR}]
        if not after:
            place, indent = 0, ""
        else:
            place, indent = after[-1].end, self._indent(after[-1])
        lines = "".join(f"{indent}{self._line(change)}" for change in group)
        return Splice(place, place, self._break_before(place) + lines)

    def _dotted_sibling(self, table: KeyPath, group: Sequence[Change]) -> Splice | None:
        """Go on as a table began that is defined by dotted keys (`b.c = 1` below `[a]`)."""
        siblings = [item for item in self._pairs() if item.path[:-1] == table and len(item.table) < len(table)]
        if not siblings:
            return None
        last = siblings[-1]
        below = len(last.table)
        lines = "".join(
            f"{self._indent(last)}{_dotted(change.path[below:])} = {_render(change.value)}{self._newline}"
            for change in group
        )
        return Splice(last.end, last.end, self._break_before(last.end) + lines)

    def _section(self, table: KeyPath, group: Sequence[Change]) -> str:
        lines = "".join(self._line(change) for change in group)
        return f"{self._newline}[{_dotted(table)}]{self._newline}{lines}"

    def _appended(self, sections: str, *, alone: bool) -> list[Splice]:
        if not sections:
            return []
        end = len(self._text)
        text = sections.removeprefix(self._newline) if alone else self._break_before(end) + sections
        return [Splice(end, end, text)]

    def _break_before(self, place: int) -> str:
        return self._newline if place and not self._text[:place].endswith("\n") else ""

    def _indent(self, statement: Statement) -> str:
        line = self._text[statement.start : statement.end]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _line(self, change: Change) -> str:
        return f"{_dotted(change.path[-1:])} = {_render(change.value)}{self._newline}"

    def _inline_value(self, holder: Statement, path: KeyPath) -> Any:  # noqa: ANN401 (any TOML value)
        value = parse("x = " + self._text[slice(*holder.value)])["x"]
        for key in path[len(holder.path) :]:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def _inline_raw(self, holder: Statement, path: KeyPath) -> str | None:
        value = self._inline_value(holder, path)
        return None if value is None else _render(value)

    def _edit_inline(self, holder: Statement, path: KeyPath, value: Value | Raw | None) -> None:
        """Set or remove (None) a key inside an inline table."""
        parsed = tomlkit.parse("x = " + self._text[slice(*holder.value)])
        container: Any = parsed["x"]
        rest = path[len(holder.path) :]
        for key in rest[:-1]:
            if isinstance(container, dict) and key not in container:
                container[key] = tomlkit.inline_table()
            container = container[key] if isinstance(container, dict) else None
        if not isinstance(container, dict):
            raise FormatError(f"`{_dotted(holder.path)}` is not a table, so `{_dotted(path)}` can't be set in it")
        if value is None:
            container.pop(rest[-1], None)
        else:
            container[rest[-1]] = parse("x = " + _render(value))["x"]
        text = parsed.as_string().removeprefix("x = ")
        self._replace([Splice(*holder.value, text)])


def _render(value: Any) -> str:  # noqa: ANN401 (any TOML value)
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return table.as_string()
    return str(tomlkit.item(value).as_string())


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(tomlkit.key(str(part)).as_string() for part in path)
