"""Reads a token spec's YAML into a document with places.

Only what a spec needs of YAML is taken: one document of mappings, lists and scalars, small and shallow. Aliases,
anchors and tags are refused, so that no file can grow in memory or make objects.
"""

from typing import Final, Protocol

import yaml

from meshproxy_cli.tokens.problems import Problem, SpecError
from meshproxy_cli.tokens.tokenspec import MAX_SPEC
from meshproxy_cli.tokens.tree import Entry, Items, Node, Place, Scalar, Table

_MAX_DEPTH: Final = 20


def read_document(text: str, source: str) -> Node:
    """Return the document; raise `SpecError` where it is no YAML that a spec may be."""
    if len(text) > MAX_SPEC:
        raise SpecError((Problem(Place(source), f"it is larger than {MAX_SPEC // 1024} KiB, which no token spec is"),))
    try:
        node = _Loader(text).get_single_node()
    except _RefusedError as problem:
        raise SpecError((Problem(_place(source, problem.mark), str(problem)),)) from None
    except yaml.MarkedYAMLError as problem:
        raise SpecError((Problem(_place(source, problem.problem_mark), _say(problem)),)) from None
    except yaml.reader.ReaderError as problem:
        line = text.count("\n", 0, problem.position) + 1
        message = f"it holds a character that YAML does not allow (#x{ord(text[problem.position]):04x})"
        raise SpecError((Problem(Place(source, line, 1), message),)) from None
    if node is None:
        raise SpecError((Problem(Place(source), "it is empty"),))
    return _convert(node, source)


class _Mark(Protocol):
    """A place as PyYAML has it, counted from 0; libyaml's is another class."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


class _RefusedError(Exception):
    """Something that YAML has and a token spec must not."""

    def __init__(self, message: str, mark: _Mark | None) -> None:
        super().__init__(message)
        self.mark = mark


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses on sight what a spec does not need."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.ScalarEvent | yaml.CollectionStartEvent | yaml.AliasEvent = self.peek_event()  # type: ignore[no-untyped-call] # the stubs leave it untyped
        if isinstance(event, yaml.AliasEvent):
            raise _refused(event, "aliases (`*name`) are not allowed in a token spec: write the value out")
        if event.anchor is not None:
            raise _refused(event, "anchors (`&name`) are not allowed in a token spec")
        if event.tag is not None:
            raise _refused(event, "tags (`!name`) are not allowed in a token spec")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _refused(event, "it is nested deeper than any token spec")
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refused(event: yaml.Event, message: str) -> "_RefusedError":
    return _RefusedError(message, event.start_mark)


def _say(problem: yaml.MarkedYAMLError) -> str:
    if isinstance(problem, yaml.composer.ComposerError):
        return "a token spec is one document; a second one begins here"
    return f"this is not valid YAML: {problem.problem}"


def _convert(node: yaml.Node, source: str) -> Node:
    place = _place(source, node.start_mark)
    if isinstance(node, yaml.ScalarNode):
        return Scalar(place, node.value, plain=node.style is None)
    if isinstance(node, yaml.SequenceNode):
        return Items(place, tuple(_convert(item, source) for item in node.value))
    return Table(place, tuple(_entry(key, value, source) for key, value in node.value))


def _entry(key: yaml.Node, value: yaml.Node, source: str) -> Entry:
    place = _place(source, key.start_mark)
    if not isinstance(key, yaml.ScalarNode):
        raise SpecError((Problem(place, "a key must be a text"),))
    return Entry(place, key.value, _convert(value, source))


def _place(source: str, mark: _Mark | None) -> Place:
    return Place(source) if mark is None else Place(source, mark.line + 1, mark.column + 1)
