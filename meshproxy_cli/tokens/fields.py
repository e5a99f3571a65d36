"""Reads sections of the `api` scope: each field by its kind, defaults left out, as they stand in a token."""

from collections.abc import Callable, Mapping
from typing import Final

from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.problems import Findings, nearest
from meshproxy_cli.tokens.scalars import as_flag, as_json, as_text, is_blank, is_null, shown
from meshproxy_cli.tokens.scope import FILE_ACTIONS, Field, Kind, Section
from meshproxy_cli.tokens.tree import Entry, Items, Node, Scalar, Table


class FieldReader:
    """Reads fields; what is wrong goes to `findings`."""

    def __init__(self, findings: Findings, *, allow_unknown: bool) -> None:
        self._findings = findings
        self._allow_unknown = allow_unknown

    def entries(self, table: Table, path: str) -> dict[str, Entry]:
        """Return a mapping's entries by key; a key that is given twice is a problem."""
        found: dict[str, Entry] = {}
        for entry in table.entries:
            if entry.key in found:
                self._findings.add(entry.place, f'"{entry.key}" is given twice in {path}')
            found.setdefault(entry.key, entry)
        return found

    def section(self, section: Section, entry: Entry, path: str) -> Json:
        """Return the fields of a section that are not the default, in the order of the token."""
        if is_blank(entry.value):
            message = f"{path} has no value: write `{entry.key}: {{}}` to grant it, or remove the line"
            self._findings.add(entry.place, message)
        return self._table(section, entry.value, path)

    def as_it_is(self, entry: Entry) -> Json:
        """Return the value of a key that is not known here, for specs newer than this version."""
        try:
            return as_json(entry.value)
        except ValueError as problem:
            self._findings.add(entry.value.place, f"{entry.key} can't stand in a token: {problem}")
            return None

    def _table(self, section: Section, node: Node, path: str) -> dict[str, Json]:
        if not isinstance(node, Table):
            if not is_blank(node):
                self._findings.add(node.place, f"{path} must be a mapping (got {shown(node)})")
            return {}
        given = self.entries(node, path)
        found: dict[str, Json] = {}
        for field in section.fields:
            if field.name in given:
                value = self._value(field, given[field.name], f"{path}.{field.name}")
                if field.required or value != field.default:
                    found[field.name] = value
            elif field.required:
                self._findings.add(node.place, f"{path}.{field.name} is missing")
        return found | self._unknown(section, given, path)

    def _unknown(self, section: Section, given: Mapping[str, Entry], path: str) -> dict[str, Json]:
        known = [field.name for field in section.fields]
        unknown = [entry for name, entry in given.items() if name not in known]
        if self._allow_unknown:
            return {entry.key: self.as_it_is(entry) for entry in unknown}
        for entry in unknown:
            self._findings.add(entry.place, f'unknown key "{entry.key}" in {path}; {nearest(entry.key, known)}')
        return {}

    def _value(self, field: Field, entry: Entry, path: str) -> Json:
        node = entry.value
        if is_blank(node):
            self._findings.add(entry.place, f"{path} has no value: write one, or remove the line")
            return field.default
        if field.nullable and is_null(node):
            return None
        if field.kind is Kind.FLAG:
            return self._flag(node, path)
        if field.section is not None and field.kind is Kind.SECTION:
            return self._table(field.section, node, path)
        if field.kind in (Kind.TEXT, Kind.FILE_PATH):
            return self._text(field.kind, node, path)
        return self._list(field, node, path)

    def _flag(self, node: Node, path: str) -> Json:
        flag = as_flag(node)
        if flag is None:
            self._findings.add(node.place, f"{path} must be true or false (got {shown(node)})")
        return flag

    def _list(self, field: Field, node: Node, path: str) -> Json:
        if not isinstance(node, Items):
            self._findings.add(node.place, f"{path} must be {field.kind.value} (got {shown(node)})")
            return []
        if field.most is not None and len(node.items) > field.most:
            self._findings.add(node.place, f"{path} must not hold more than {field.most} (got {len(node.items)})")
        if field.section is not None:
            return [self._table(field.section, item, f"{path}[{at}]") for at, item in enumerate(node.items)]
        return [self._text(field.kind, item, f"{path}[{at}]") for at, item in enumerate(node.items)]

    def _text(self, kind: Kind, node: Node, path: str) -> Json:
        text = as_text(node)
        if text is None:
            quotes = "; put it in quotes" if isinstance(node, Scalar) and not is_null(node) else ""
            self._findings.add(node.place, f"{path} must be a text (got {shown(node)}{quotes})")
        elif kind in _TEXT_CHECKS and (why := _TEXT_CHECKS[kind](text)):
            self._findings.add(node.place, f"{path} {why} (got {shown(node)})")
        return text


def _model(text: str) -> str:
    """Say why a pattern could never allow a model, or nothing."""
    if "*" in text.removesuffix("*"):
        return "may have a `*` at its end only"
    provider, slash, model = text.partition("/")
    if not text.endswith("*") and not (provider and slash and model):
        return 'must be written provider/model, such as "openai/gpt-5.4"'
    return ""


def _file_path(text: str) -> str:
    """Say why MeshAgent would refuse a path in a file rule, or nothing."""
    parts = text.split("/") if text else []
    reserved = any(part in {"", ".", "..", ".meshagent-directory"} for part in parts)
    if (
        reserved
        or "\\" in text
        or not text.isprintable()
        or any(part.startswith(".meshagent-upload-") for part in parts)
    ):
        return "must be a path without a leading slash, `.`, `..`, `\\` or reserved names"
    return ""


def _file_action(text: str) -> str:
    return "" if text in FILE_ACTIONS else f"must be one of {', '.join(FILE_ACTIONS)}"


_TEXT_CHECKS: Final[Mapping[Kind, Callable[[str], str]]] = {
    Kind.MODELS: _model,
    Kind.FILE_PATH: _file_path,
    Kind.FILE_PATHS: _file_path,
    Kind.FILE_ACTIONS: _file_action,
}
