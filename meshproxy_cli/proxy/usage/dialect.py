"""How a provider writes its answers, as far as a meter needs to know: the interface and what all have in common."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from meshproxy_cli.proxy.usage.numbers import Json, name_of, section
from meshproxy_cli.proxy.usage.reading import BYTES_PER_TOKEN, AnswerItem, Reading
from meshproxy_cli.store.events import TokenCounts

TEXT = rb'[^"\\\n]*+(?:\\.[^"\\\n]*+)*+'
"""The inside of a JSON string, still escaped."""

BLANK_LINE = rb"\r?\n\r?\n"

_DOCUMENT = msgspec.json.Decoder()
_NOTHING = msgspec.Raw()
_LENIENT = json.JSONDecoder()
_USAGE = re.compile(rb'"usage"\s*+:\s*+(?=\{)')
_MODEL = re.compile(rb'"model"\s*+:\s*+"([^"\\]{1,200}+)"')
_ID = re.compile(rb'"id"\s*+:\s*+"([^"\\]{1,200}+)"')
_USAGES_TRIED = 8  # from the end of a clipped document, where the real one is
_TYPE = re.compile(rb'"type"\s*+:\s*+"([a-z_.]{1,60}+)"')


class _Outline(msgspec.Struct, gc=False):
    """The members of a whole answer that matter; what was generated is passed over unread."""

    id: msgspec.Raw = _NOTHING
    type: msgspec.Raw = _NOTHING
    model: msgspec.Raw = _NOTHING
    service_tier: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING
    x_groq: msgspec.Raw = _NOTHING
    tool_usage: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    output: msgspec.Raw = _NOTHING
    container: msgspec.Raw = _NOTHING


class _LargeEvent(_Outline, gc=False):
    """The members of an event that matter, for one too large to read whole."""

    code: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    message: msgspec.Raw = _NOTHING
    delta: msgspec.Raw = _NOTHING
    content_block: msgspec.Raw = _NOTHING
    stop_reason: msgspec.Raw = _NOTHING


_OUTLINE = msgspec.json.Decoder(_Outline)
_LARGE = msgspec.json.Decoder(_LargeEvent)
_LARGE_BYTES = 512 * 1024  # of a document; the largest that is read with all that is in it
_LARGE_MEMBER = 64 * 1024
_CONTAINERS = frozenset({"response", "message"})


class Dialect(Protocol):
    """Collects the numbers of one answer from its JSON, given in the order in which it arrives. Never raises."""

    plain: re.Pattern[bytes]
    """Matches one whole event that is output text and nothing else, as the provider usually writes it. Its last group
    is the text, still escaped. This is what nearly all of a stream consists of, so it has to be quick."""

    text: re.Pattern[bytes]
    """Finds output text (its one group) in the data of any event."""

    markers: re.Pattern[bytes]
    """Found in the data of every event that has to be read as JSON."""

    @property
    def ended(self) -> bool:
        """Whether the event that ends a stream was read: its last one, or an error."""

    @staticmethod
    def parse_fast(data: bytes) -> Reading | None:
        """Return what a whole answer says if it is a usual one, quickly; None where it has to be read with care."""

    def read_event(self, data: bytes) -> None:
        """Take in the data of one server-sent event (or one websocket message)."""

    def read_body(self, data: bytes) -> None:
        """Take in a whole answer that is one JSON document."""

    def read_clipped(self, data: bytes) -> None:
        """Take in a document that was too large to keep: its beginning and its end."""

    def reading(self, text_bytes: int) -> Reading:
        """Return what is known, with the bytes of output text that went through for an estimate."""


def no_fast_path(_data: bytes) -> Reading | None:
    """Stand for `Dialect.parse_fast` where no answer can be read quickly."""
    return None


@dataclass(slots=True)
class Findings:
    """What was found so far; shared by the dialects."""

    model: str = ""
    service_tier: str = ""
    answer_id: str = ""
    items: dict[str, AnswerItem] = field(default_factory=dict)
    error: str = ""
    terminal: bool = False  # the usage that ends the answer was seen
    ended: bool = False  # the answer came to its regular end, with or without usage
    usage: dict[str, Any] = field(default_factory=dict)
    tools: Json = field(default_factory=dict)  # what OpenAI's own tools used
    image_model: str = ""


def unfinished(found: Findings, known: TokenCounts, text_bytes: int) -> dict[str, Any]:
    """Return what a reading says of tokens where the provider's own last word is missing.

    An error inside the answer uses nothing. An answer that was broken off has what is known of it, its output
    estimated. One that came to its end without usage has the same estimate, but is not metered.
    """
    if found.error:
        return {"tokens": TokenCounts()}
    output = max(known.output_tokens, -(-text_bytes // BYTES_PER_TOKEN))
    counts = {name: getattr(known, name) for name in TokenCounts.__slots__}
    return {
        "tokens": TokenCounts(**{**counts, "output_tokens": output}),
        "estimated": True,
        "metered": not found.ended,
    }


def parse(data: bytes) -> Json:
    """Return the JSON object in these bytes, or an empty one for anything else."""
    try:
        value = _DOCUMENT.decode(data) if len(data) <= _LARGE_BYTES else _members(_LARGE.decode(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def parse_outline(data: bytes) -> Json | None:
    """Return the members that matter of an answer that is one JSON object, None for anything else."""
    try:
        return _members(_OUTLINE.decode(data))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _members(found: _Outline) -> dict[str, Any]:
    """Return the members that are there; of a large one only what matters in it, or nothing."""
    members: dict[str, Any] = {}
    for name in found.__struct_fields__:
        raw = getattr(found, name)
        if raw is _NOTHING:
            continue
        if memoryview(raw).nbytes <= _LARGE_MEMBER:
            members[name] = _DOCUMENT.decode(raw)
        elif name in _CONTAINERS:
            members[name] = _members(_OUTLINE.decode(raw))
    return members


def parse_clipped(data: bytes) -> Json:
    """Make out type, model, id and usage of a document whose middle is missing."""
    found: dict[str, Any] = {}
    if kind := _TYPE.search(data):
        found["type"] = kind[1].decode()
    for name, pattern in (("model", _MODEL), ("id", _ID)):
        if match := pattern.search(data):
            found[name] = match[1].decode(errors="replace")
    at = len(data)
    for _ in range(_USAGES_TRIED):
        at = data.rfind(b'"usage"', 0, at)
        if at < 0:
            break
        match = _USAGE.match(data, at)
        if match is None:
            continue
        text = data[match.end() : match.end() + _LARGE_MEMBER].decode(errors="replace")
        with suppress(ValueError, RecursionError):
            found["usage"] = _LENIENT.raw_decode(text)[0]
            break
    return found


def error_code(data: Json) -> str:
    """Return the code of an error object in either provider's shape; "" where there is none."""
    if isinstance(data.get("error"), str):
        return name_of(data, "error")
    inner = section(data, "error")
    return name_of(inner, "code") or name_of(inner, "type") or ("error" if inner else "")
