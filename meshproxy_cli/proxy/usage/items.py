"""What an answer brought that a later request may refer to by an id."""

from collections.abc import Iterable, Mapping

import msgspec

from meshproxy_cli.proxy.core.vocabulary import refers_by_id
from meshproxy_cli.proxy.usage.numbers import Json, are_names
from meshproxy_cli.proxy.usage.reading import AnswerItem

_MOST_ITEMS = 1000  # of one answer


class OutputItem(msgspec.Struct, gc=False):
    """An item of a response's output, as far as a reference to it depends on it."""

    id: str = ""
    type: str = ""
    container_id: str = ""
    encrypted_content: str | None = None


def output_items(items: Iterable[object]) -> tuple[AnswerItem, ...]:
    """Return what a whole answer brought: its items, and the containers that they ran in."""
    found: dict[str, AnswerItem] = {}
    for item in items:
        if isinstance(item, OutputItem):
            note_item(found, item)
    return tuple(found.values())


def note_item(found: dict[str, AnswerItem], item: OutputItem) -> None:
    """Add an item, and the container that it ran in; the latest word on an item counts."""
    whole = not refers_by_id(item.type, sealed=bool(item.encrypted_content), whole=True)
    for ident, repeated in ((item.id, whole), (item.container_id, False)):
        if ident and are_names(ident) and (ident in found or len(found) < _MOST_ITEMS):
            found[ident] = AnswerItem(ident, repeated)


def note_output(found: dict[str, AnswerItem], items: object) -> None:
    """Add the items of a response's `output`; what is odd is left out."""
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            note_item(found, read_item(item))


def read_item(item: Json) -> OutputItem:
    """Return an item of an answer; members of another type count as not there."""
    texts = {name: value for name in OutputItem.__struct_fields__ if isinstance(value := item.get(name), str)}
    return OutputItem(**texts)
