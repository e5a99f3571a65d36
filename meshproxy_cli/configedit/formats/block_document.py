"""A text file in which we own one block between two marker lines (`.env` files, YAML lists)."""

from collections.abc import Sequence
from typing import Any

from meshproxy_cli.configedit.formats.document import Change, FormatError, KeyPath, Raw, decode, lines_of, newline_of


class BlockDocument:
    """See `Document`. The one key of a path is the block's name, its value the text between the markers."""

    def __init__(self, data: bytes) -> None:
        self._mark, self._text = decode(data)
        self._newline = newline_of(self._text)

    def plain(self) -> dict[str, Any]:
        """Return each of our blocks by name, and under the empty name all that is not ours."""
        blocks: dict[str, Any] = {}
        outside, name = [], ""
        for line in lines_of(self._text):
            if not name and line.startswith("# >>> meshproxy "):
                name = line.rstrip().removeprefix("# >>> meshproxy ").removesuffix(" >>>")
                blocks[name] = ""
            elif name and line.rstrip() == _end(name):
                name = ""
            elif name:
                blocks[name] += line.replace("\r\n", "\n")
            else:
                outside.append(line)
        if name:
            raise FormatError(f"the block `{_begin(name)}` in it has no end")
        rest = "".join(outside).rstrip("\r\n")
        return blocks | ({"": rest} if rest else {})

    def raw(self, path: KeyPath) -> str | None:
        value: str | None = self.plain().get(path[0])
        return value

    def comments(self) -> tuple[str, ...]:
        return tuple(line for line in self.plain().get("", "").splitlines() if line.lstrip().startswith("#"))

    def put(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self._put(change.path[0], change.value.text if isinstance(change.value, Raw) else str(change.value))

    def drop(self, path: KeyPath) -> None:
        span = self._span(path[0])
        if span is not None:
            start, end = span
            gap = self._newline * 2
            start -= len(self._newline) if self._text[:start].endswith(gap) else 0
            self._text = self._text[:start] + self._text[end:]

    def prune(self, path: KeyPath) -> None:
        """Do nothing: a block has no container."""

    def render(self) -> bytes:
        return (self._mark + self._text).encode()

    def _put(self, name: str, body: str) -> None:
        lines = [_begin(name), *body.splitlines(), _end(name)]
        block = "".join(line + self._newline for line in lines)
        span = self._span(name)
        if span is not None:
            self._text = self._text[: span[0]] + block + self._text[span[1] :]
            return
        if self._text and not self._text.endswith("\n"):
            self._text += self._newline
        self._text += (self._newline if self._text else "") + block

    def _span(self, name: str) -> tuple[int, int] | None:
        self.plain()
        position, start = 0, -1
        for line in lines_of(self._text):
            if line.rstrip() == _begin(name):
                start = position
            position += len(line)
            if start >= 0 and line.rstrip() == _end(name):
                return start, position
        return None


def _begin(name: str) -> str:
    return f"# >>> meshproxy {name} >>>"


def _end(name: str) -> str:
    return f"# <<< meshproxy {name} <<<"
