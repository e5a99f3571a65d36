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


class NameBudgetError(DocumentError):
    """A body with more names than its budget allows."""


class NameBudget:
    """Names that may still be read in a body, in all of its objects together; each object read counts as one too."""

    __slots__ = ("allowed", "left")

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.left = allowed

    def error(self) -> NameBudgetError:
        """Return the error of a body that has used it up."""
        return NameBudgetError(f"the body has more than {self.allowed} names")


class _Key:
    """A name in the document; each occurrence is an object of its own, so that none replaces another."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


MAX_NAMES = 10_000  # in one object, and in a whole body that is read on the event loop
MAX_NAMES_OFF_LOOP = 500_000  # in a whole body
_LONGEST_TEXT = 1000  # characters of a model, an id or a type
_LONGEST_RAW_TEXT = 6 * _LONGEST_TEXT + 2  # written as escapes, in quotation marks
_MOST_ENTRIES = 100_000  # of a list; as many as a message batch may have
_MOST_OBJECTS = 4_000_000  # in all of a list, so that counting its entries takes bounded memory
_names_left = [0]  # of the object that is being read


def _make_key(_type: type, value: str) -> _Key:
    _names_left[0] -= 1
    if _names_left[0] < 0:
        raise ValueError
    return _Key(value)


# A value is compared and looked at without copying it: it may be as large as the body.
_TRUE, _FALSE, _NULL = Raw(b"true"), Raw(b"false"), Raw(b"null")
_QUOTATION_MARK, _BRACE = b'"{'


class _Entry(msgspec.Struct, gc=False):
    """An object of which nothing is looked at."""


_DECODER = msgspec.json.Decoder(dict[_Key, Raw], dec_hook=_make_key)
_TEXT = msgspec.json.Decoder(str)
_ENTRIES = msgspec.json.Decoder(list[_Entry])
_ITEMS = msgspec.json.Decoder(list[Raw])
_LOOKED_INTO = frozenset({
    "model", "stream", "stream_options", "previous_response_id", "conversation", "requests", "params", "session",
    "response", "type", "background", "audio", "input", "transcription", "input_audio_transcription", "tools",
    "fallbacks",
})  # fmt: skip

# Names that mean no other by another spelling: those that are looked into, and those that came by so far.
_harmless = set(_LOOKED_INTO)
_LONGEST_LOOKED_INTO = max(map(len, _LOOKED_INTO))  # casefold() makes no text shorter
_MOST_HARMLESS = 1000
_LONGEST_HARMLESS = 40


class Document(msgspec.Struct, frozen=True):
    """A JSON object's top level: each name with its value's bytes."""

    members: Mapping[str, Raw]
    budget: NameBudget = msgspec.field(default_factory=lambda: NameBudget(MAX_NAMES))

    def text(self, name: str) -> str | None:
        """Return a member that is a string; None where it is missing or null. Raises `DocumentError`."""
        raw = self.members.get(name)
        if raw is None or raw == _NULL:
            return None
        view = memoryview(raw)
        if view[0] != _QUOTATION_MARK:
            raise DocumentError(f"'{name}' is not a string")
        if view.nbytes > _LONGEST_RAW_TEXT:
            raise DocumentError(f"'{name}' is longer than {_LONGEST_TEXT} characters")
        try:
            value: str = _TEXT.decode(raw)
        except ValueError:
            raise DocumentError(f"'{name}' can't be read") from None
        if len(value) > _LONGEST_TEXT:
            raise DocumentError(f"'{name}' is longer than {_LONGEST_TEXT} characters")
        return value

    def is_true(self, name: str) -> bool:
        """Whether a member is `true`."""
        return self.members.get(name) == _TRUE

    def is_false(self, name: str) -> bool:
        """Whether a member is `false`."""
        return self.members.get(name) == _FALSE

    def has(self, name: str) -> bool:
        """Whether there is a member of that name with a value other than null."""
        raw = self.members.get(name)
        return raw is not None and raw != _NULL

    def is_object(self, name: str) -> bool:
        """Whether a member is an object: some names mean other things elsewhere."""
        raw = self.members.get(name)
        return raw is not None and memoryview(raw)[0] == _BRACE

    def is_text(self, name: str) -> bool:
        """Whether a member is a string."""
        raw = self.members.get(name)
        return raw is not None and memoryview(raw)[0] == _QUOTATION_MARK

    def child(self, name: str) -> "Document | None":
        """Return a member that is an object; None where it is missing or null. Raises `DocumentError`."""
        return read_document(self.members[name], self.budget) if self.has(name) else None

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
        return [read_document(item, self.budget) for item in items]

    def replaced(self, changes: Mapping[str, object]) -> bytes:
        """Return the document with other values for some names; every other value keeps its bytes."""
        return msgspec.json.encode({**self.members, **changes})


def read_document(body: bytes | Raw, budget: NameBudget | None = None) -> Document:
    """Read the top level of `body`. Raises `DocumentError`.

    What is read of the document later counts towards the same `budget`, by default one of `MAX_NAMES`.
    """
    if budget is None:
        budget = NameBudget(MAX_NAMES)
    if budget.left <= 0:
        raise budget.error()
    allowed = _names_left[0] = min(MAX_NAMES, budget.left)
    try:
        found = _DECODER.decode(body)
    except (ValueError, RecursionError):
        if _names_left[0] >= 0:
            raise DocumentError("the body is not a JSON object") from None
        if allowed < MAX_NAMES:
            raise budget.error() from None
        raise NameBudgetError(f"the body has more than {MAX_NAMES} names") from None
    budget.left -= len(found) + 1
    members = {key.name: raw for key, raw in found.items()}
    if len(members) != len(found):
        (repeated, _), *_ = Counter(key.name for key in found).most_common(1)
        raise DocumentError(f"the body names '{repeated[:80]}' twice")
    if not members.keys() <= _harmless:
        _check_names(members.keys() - _harmless)
    return Document(members, budget)


def _check_names(names: AbstractSet[str]) -> None:
    for name in names:
        if len(name) <= _LONGEST_LOOKED_INTO and name.casefold() in _LOOKED_INTO:
            raise DocumentError(f"the body writes '{name.casefold()}' as '{name}'")
    if len(_harmless) < _MOST_HARMLESS:
        _harmless.update(name for name in names if len(name) <= _LONGEST_HARMLESS)
