"""The interface of every format: read keys, set them, drop them, render the text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from meshproxy_cli.errors import ConflictError

KeyPath = tuple[str, ...]
Value = str | int | bool | Sequence[str] | Mapping[str, Any] | Sequence[Mapping[str, Any]]
BOM = "\ufeff"


class FormatError(ConflictError):
    """The file does not parse, or holds the key in a shape that cannot be edited safely."""


class ParseError(FormatError):
    """The text does not parse; `line` and `column` (from 1) say where."""

    def __init__(self, format_name: str, what: str, line: int, column: int) -> None:
        super().__init__(f"invalid {format_name} at line {line}, column {column}: {what}")
        self.what = what
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as the text that stands in the file."""

    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """A key and its new value: one that is rendered in the format's own way, or the text of a previous one."""

    path: KeyPath
    value: Value | Raw


class Document(Protocol):
    """A configuration file's text with the keys in it."""

    def plain(self) -> dict[str, Any]:
        """Return all values, as the format's parser gives them."""

    def raw(self, path: KeyPath) -> str | None:
        """Return the text of a value, or None if the key is missing or not a single value."""

    def comments(self) -> tuple[str, ...]:
        """Return all comments in their order."""

    def put(self, changes: Sequence[Change]) -> None:
        """Set keys, each where it stands already or else at the end of its container."""

    def drop(self, path: KeyPath) -> None:
        """Remove one key; comments around it stay."""

    def prune(self, path: KeyPath) -> None:
        """Remove a container that has become empty."""

    def render(self) -> bytes:
        """Return the file's bytes."""


@dataclass(frozen=True, slots=True)
class Splice:
    """Text that replaces `start` to `end` (offsets in characters)."""

    start: int
    end: int
    text: str


def splice(text: str, splices: Sequence[Splice]) -> str:
    """Apply splices that do not overlap and were all measured on `text`; those at one place keep their order."""
    parts: list[str] = []
    position = 0
    for one in sorted(splices, key=lambda item: item.start):
        parts += [text[position : one.start], one.text]
        position = one.end
    return "".join([*parts, text[position:]])


def lookup(values: Mapping[str, Any], path: KeyPath) -> Any:  # noqa: ANN401 (any value of the format)
    """Return the value at `path`, or None: neither TOML nor our own keys know a null."""
    found: Any = values
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def decode(data: bytes) -> tuple[str, str]:
    """Return a byte order mark ("" if there is none) and the text after it; raise `FormatError` if it is not UTF-8."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise FormatError(f"it is not UTF-8 text (byte {problem.start})") from None
    return (BOM, text[1:]) if text.startswith(BOM) else ("", text)


def newline_of(text: str) -> str:
    """Return the line ending that the text uses: that of its first line."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def lines_of(text: str) -> list[str]:
    """Return the lines with their ends; only a line feed ends a line (`str.splitlines` knows a dozen more)."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
