"""Look into a request's JSON body without changing a byte of it: its top-level names, in one pass, values unread.

Every occurrence of a name is seen, escapes resolved: repeating a name can't tell two parsers different things.
"""

from collections import Counter
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

Raw = msgspec.Raw


class DocumentError(ValueError):
    """A body that is no JSON object, or names something twice; the text says which."""


class _Key:
    """A name in the document; each occurrence is an object of its own, so that none replaces another."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


_MOST_NAMES = 10_000
_MOST_ENTRIES = 100_000  # of a list; as many as a message batch may have
_MOST_OBJECTS = 4_000_000  # in all of a list, so that counting its entries takes bounded memory
_names_left = [0]  # of the document that is being read


def _make_key(_type: type, value: str) -> _Key:
    _names_left[0] -= 1
    if _names_left[0] < 0:
        raise ValueError
    return _Key(value)


class _Entry(msgspec.Struct, gc=False):
    """An object of which nothing is looked at."""


_DECODER = msgspec.json.Decoder(dict[_Key, Raw], dec_hook=_make_key)
_ENTRIES = msgspec.json.Decoder(list[_Entry])
_ITEMS = msgspec.json.Decoder(list[Raw])
_LOOKED_INTO = frozenset({
    "model", "stream", "stream_options", "previous_response_id", "conversation", "requests", "params", "session",
    "response", "type", "background", "audio", "input", "transcription", "input_audio_transcription", "tools",
    "fallbacks",
})  # fmt: skip

# Names that mean no other by another spelling: those that are looked into, and those that came by so far.
_harmless = set(_LOOKED_INTO)
_MOST_HARMLESS = 1000
_LONGEST_HARMLESS = 40


class Document(msgspec.Struct, frozen=True):
    """A JSON object's top level: each name with its value's bytes."""

    members: Mapping[str, Raw]

    def text(self, name: str) -> str | None:
        """Return a member that is a string; None where it is missing or null. Raises `DocumentError`."""
        value = self._value(name)
        if value is None or isinstance(value, str):
            return value
        raise DocumentError(f"'{name}' is not a string")

    def is_true(self, name: str) -> bool:
        """Whether a member is `true`."""
        raw = self.members.get(name)
        return raw is not None and bytes(raw) == b"true"

    def is_false(self, name: str) -> bool:
        """Whether a member is `false`."""
        raw = self.members.get(name)
        return raw is not None and bytes(raw) == b"false"

    def has(self, name: str) -> bool:
        """Whether there is a member of that name with a value other than null."""
        raw = self.members.get(name)
        return raw is not None and bytes(raw) != b"null"

    def is_object(self, name: str) -> bool:
        """Whether a member is an object: some names mean other things elsewhere."""
        raw = self.members.get(name)
        return raw is not None and bytes(raw).startswith(b"{")

    def is_text(self, name: str) -> bool:
        """Whether a member is a string."""
        raw = self.members.get(name)
        return raw is not None and bytes(raw).startswith(b'"')

    def child(self, name: str) -> "Document | None":
        """Return a member that is an object; None where it is missing or null. Raises `DocumentError`."""
        return read_document(self.members[name]) if self.has(name) else None

    def children(self, name: str) -> list["Document"]:
        """Return the objects of a member that is an array. Raises `DocumentError`."""
        if not self.has(name):
            return []
        raw = self.members[name]
        try:
            if bytes(raw).count(b"{") > _MOST_OBJECTS or len(_ENTRIES.decode(raw)) > _MOST_ENTRIES:
                raise DocumentError(f"'{name}' has more than {_MOST_ENTRIES} entries")
            items = _ITEMS.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            raise DocumentError(f"'{name}' is not a list of objects") from None
        return [read_document(item) for item in items]

    def replaced(self, changes: Mapping[str, object]) -> bytes:
        """Return the document with other values for some names; every other value keeps its bytes."""
        return msgspec.json.encode({**self.members, **changes})

    def _value(self, name: str) -> object:
        raw = self.members.get(name)
        try:
            return None if raw is None else msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            raise DocumentError(f"'{name}' can't be read") from None


def read_document(body: bytes | Raw) -> Document:
    """Read the top level of `body`. Raises `DocumentError`."""
    _names_left[0] = _MOST_NAMES
    try:
        found = _DECODER.decode(body)
    except (ValueError, RecursionError):
        if _names_left[0] < 0:
            raise DocumentError(f"the body has more than {_MOST_NAMES} names") from None
        raise DocumentError("the body is not a JSON object") from None
    members = {key.name: raw for key, raw in found.items()}
    if len(members) != len(found):
        (repeated, _), *_ = Counter(key.name for key in found).most_common(1)
        raise DocumentError(f"the body names '{repeated}' twice")
    if not members.keys() <= _harmless:
        _check_names(members.keys() - _harmless)
    return Document(members)


def _check_names(names: AbstractSet[str]) -> None:
    for name in names:
        if name.casefold() in _LOOKED_INTO:
            raise DocumentError(f"the body writes '{name.casefold()}' as '{name}'")
    if len(_harmless) < _MOST_HARMLESS:
        _harmless.update(name for name in names if len(name) <= _LONGEST_HARMLESS)
