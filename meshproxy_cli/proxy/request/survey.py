"""Look through a whole request once: every model that it names, and everything that it refers to.

A limit on models and the isolation of rooms rest on this one walk, whatever the request's form: a JSON body, the fields
of a form, the entries of a batch, an event of a websocket. It does not look for known places. It goes everywhere but
into what `vocabulary.is_opaque` names, in any case of a name, and reports what it does not know.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from meshproxy_cli.proxy.core import vocabulary
from meshproxy_cli.proxy.request.json_body import DocumentError


class _Twice(dict[str, Any]):
    """An object that names a member twice."""


_DEEPEST: Final = 64
MOST_OBJECTS: Final = 20_000
#: As many as a batch of 100,000 short requests has.
MOST_OBJECTS_OF_BATCH: Final = 400_000
_MOST_MEMBERS: Final = 1_000  # of one object
_TEXTS_PER_OBJECT: Final = 10  # names and values
_BYTES_PER_BRACKET: Final = 16
_LARGE: Final = 256 * 1024  # smaller bodies can't hold too many texts or numbers
_MOST_REFERENCES: Final = 2_000
_CHOOSES_MODEL: Final = frozenset({"moderation", "transcription", "input_audio_transcription"})
_TOOLS: Final = frozenset({"tools", "functions", "definition"})
_REQUESTS: Final = frozenset({"params", "session", "response"})
_CONTAINERS: Final = frozenset({dict, list, _Twice})
_ITEMS: Final = frozenset({"input", "items", "item"})
_LONGEST_SHOWN: Final = 80


@dataclass(slots=True)
class Survey:
    """What a request contains, in the order in which it stands there.

    `unknown` are the types and options that are not known, or that run a model without naming it, each with the words
    for it. `foreign` are ids of objects that no room can create, `references` ids that an answer may have brought.
    """

    models: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)


def survey_body(body: bytes, *, realtime: bool = False, responses: bool = False, objects: int = MOST_OBJECTS) -> Survey:
    """Look through a JSON body. Raises `DocumentError`.

    `responses`: its `input` holds items, whose ids refer to stored ones. `realtime`: ids of items and responses are
    those of the websocket's own session.
    """
    read = _Reader(objects)
    most = objects * _TEXTS_PER_OBJECT
    if len(body) > _LARGE:
        if _count_texts(body) > most:
            raise DocumentError(f"the body has more than {most} texts")
        if body.count(b"[") > most + len(body) // _BYTES_PER_BRACKET:  # in texts too
            raise DocumentError("the body has too many lists")
    try:
        document = json.loads(body, object_pairs_hook=read.object, parse_int=read.number, parse_float=read.number)
    except DocumentError:
        raise
    except (ValueError, RecursionError):
        raise DocumentError("the body is not a JSON object") from None
    if not isinstance(document, dict):
        raise DocumentError("the body is not a JSON object")
    walk = _Walk(realtime=realtime, responses=responses, lists=most)
    walk.top(document)
    return walk.found


def survey_form(fields: Iterable[tuple[str, str]]) -> Survey:
    """Look through the fields of a form; `name[part]` is part of the option `name`."""
    walk = _Walk(realtime=False, responses=False, lists=0)
    for name, value in fields:
        walk.form_field(name, value)
    return walk.found


def _count_texts(body: bytes) -> int:
    """Return how many strings a JSON document has: quotes inside of them are escaped."""
    return body.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') // 2


class _Reader:
    """Counts the objects of a body, and keeps those apart that name a member twice."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._numbers_left = most * _TEXTS_PER_OBJECT

    def number(self, digits: str) -> float:
        self._numbers_left -= 1
        if self._numbers_left < 0:
            raise DocumentError("the body has too many numbers")
        return float(digits)

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0:
            raise DocumentError(f"the body has more than {self._most} objects")
        found = dict(pairs)
        return found if len(found) == len(pairs) else _Twice(pairs)


class _Walk:
    def __init__(self, *, realtime: bool, responses: bool, lists: int) -> None:
        self.found = Survey()
        self._lists_left = lists
        self._realtime = realtime
        self._responses = responses

    def top(self, document: dict[str, Any]) -> None:
        self._visit(document, "", 0, request=not self._realtime)

    def form_field(self, name: str, value: str) -> None:
        option, bracket, _ = name.casefold().partition("[")
        if option not in vocabulary.OPTIONS and not _names_model(name.casefold()):
            self._unknown(option, "the option")
        members: dict[str, Any] = {name: value}
        if bracket and not _names_model(name.casefold()):
            members = {part.strip("]"): value for part in name.split("[") if part != "]"}
        self._visit(members, "", 0)

    def _visit(
        self, value: dict[str, Any], parent: str, depth: int, *, request: bool = False, choice: bool = False
    ) -> None:
        """Look through an object: a `request` has options, and a `choice` picks tools that are described elsewhere."""
        _check_depth(depth)
        members = self._members(value)
        kind = members.get("type") or ""
        if not isinstance(kind, str):
            raise DocumentError("a 'type' in the body is not a string")
        self._check_type(kind, members, parent, choice=choice)
        record = vocabulary.is_record_of_file(kind)
        if kind == "item_reference" and not self._realtime:
            self._refer(members.get("id"))
        for name, inner in members.items():
            if inner is None:
                continue
            if request and not (name in vocabulary.OPTIONS or _names_model(name) or _is_number(inner)):
                self._unknown(name, "the option")
            if vocabulary.is_opaque(name, kind):
                continue
            if _names_model(name):
                self._name(inner, depth)
            elif "fallback" in name and name != "fallback_credit_token":
                self._fall_back(inner, name, depth)
            else:
                if not record:
                    self._follow(name, inner, kind)
                self._descend(name, inner, depth + 1, choice=choice or name == "tool_choice")

    def _descend(self, name: str, value: object, depth: int, *, choice: bool) -> None:
        if isinstance(value, dict):
            if self._responses and name in _ITEMS:
                self._check_item(value)
            if name in _CHOOSES_MODEL and not value.get("model"):
                self._unknown(name, "without a `model`, the option")
            self._visit(value, name, depth, request=name in _REQUESTS, choice=choice)
        elif isinstance(value, list):
            self._visit_list(value, name, depth, choice=choice)
        elif name == "tools" and not choice:
            self._unknown(str(value), "the tool")

    def _visit_list(self, items: list[Any], name: str, depth: int, *, choice: bool) -> None:
        _check_depth(depth)
        self._lists_left -= 1
        if self._lists_left < 0:
            raise DocumentError("the body has too many lists")
        if name != "tools" and _CONTAINERS.isdisjoint(set(map(type, items))):
            return  # texts or numbers, of which there may be very many
        for item in items:
            if isinstance(item, dict):
                if self._responses and name in _ITEMS:
                    self._check_item(item)
                self._visit(item, name, depth + 1, choice=choice)
            elif isinstance(item, list):
                self._visit_list(item, name, depth + 1, choice=choice)
            elif name in _TOOLS and not choice:
                self._unknown(str(item), "the tool")

    def _members(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        if len(value) > _MOST_MEMBERS:
            raise DocumentError(f"an object in the body has more than {_MOST_MEMBERS} members")
        members = {name.casefold(): inner for name, inner in value.items()}
        if isinstance(value, _Twice) or len(members) != len(value):
            raise DocumentError("an object in the body names a member twice")
        return members

    def _check_type(self, kind: str, members: Mapping[str, Any], parent: str, *, choice: bool) -> None:
        tool = parent in _TOOLS and not choice
        family = vocabulary.family(kind)
        if family in vocabulary.RUNS_MODEL:
            if not choice and not members.get("model"):
                self._unknown(kind, "without a `model`, the tool")
        elif kind:
            if not vocabulary.is_known_type(kind, tool=tool):
                self._unknown(kind, "the tool" if tool else "the type")
        elif tool and not (members.get("name") or isinstance(members.get("function"), dict)):
            self._unknown(next(iter(members), "{}"), "the tool")

    def _name(self, value: object, depth: int) -> None:
        """Take everything in a value as the name of a model: an object or list of them too."""
        _check_depth(depth)
        if isinstance(value, dict):
            for inner in self._members(value).values():
                self._name(inner, depth + 1)
        elif isinstance(value, list):
            for inner in value:
                self._name(inner, depth + 1)
        elif isinstance(value, str):
            self.found.models.append(value)
        elif value is not None:
            raise DocumentError("a model's name is not a string")

    def _fall_back(self, value: object, name: str, depth: int) -> None:
        """Take models that may answer in place of the one that is asked: all of them must be named."""
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                if not isinstance(one.get("model"), str):
                    self._unknown(name, "without models, the option")
                self._visit(one, name, depth + 1)
            elif isinstance(one, str) and isinstance(value, list):
                self.found.models.append(one)
            else:
                self._unknown(name, "without models, the option")

    def _follow(self, name: str, value: object, kind: str) -> None:
        """Note what a member refers to."""
        if name in vocabulary.FOREIGN:
            self._foreign(value)
        elif name in vocabulary.FROM_ANSWERS:
            if not (self._realtime and name in vocabulary.OF_THE_SESSION):
                self._refer(value)
        elif name == "container":
            self._refer(value.get("id") if isinstance(value, dict) else value)
        elif name == "skill_id":
            if kind != "anthropic" and not str(value).startswith("openai-"):
                self._foreign(value)
        elif name in vocabulary.FOREIGN_OBJECTS and isinstance(value, dict):
            self._foreign(value.get("id"))

    def _check_item(self, item: Mapping[str, Any]) -> None:
        """Note the id of an input item that does not carry all that it says: the provider then looks it up."""
        members = self._members(item)
        if vocabulary.refers_by_id(
            members.get("type"), sealed=bool(members.get("encrypted_content")), whole="content" in members
        ):
            self._refer(members.get("id"))

    def _foreign(self, value: object) -> None:
        self.found.foreign += _ids(value)

    def _refer(self, value: object) -> None:
        self.found.references += _ids(value)
        if len(self.found.references) > _MOST_REFERENCES:
            raise DocumentError(f"the body refers to more than {_MOST_REFERENCES} stored items")

    def _unknown(self, name: str, what: str) -> None:
        shown = "".join(character for character in name[:_LONGEST_SHOWN] if character.isprintable())
        self.found.unknown.setdefault(shown, f"{what} '{shown}'")


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise DocumentError(f"the body is nested more than {_DEEPEST} levels deep")


def _ids(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one]


def _is_number(value: object) -> bool:
    """Whether a value is a number, as the options for sampling are: it chooses no model."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _names_model(name: str) -> bool:
    return "model" in name or name in {"engine", "deployment", "deployment_id"}


# The same for the many requests that refer to nothing, at the speed of a decoder: what could refer does not fit the
# types below, and such a body is walked through. A member that is typed None may not be there.


class _Part(msgspec.Struct, gc=False):
    """An object of a request, as far as it can hold parts, or refer."""

    content: "_Parts" = None
    output: "_Parts" = None
    source: "_Parts" = None
    file: "_Parts" = None
    image_url: "_Parts" = None
    input_image_mask: "_Parts" = None
    mask: "_Parts" = None
    image: "_Parts" = None
    images: "_Parts" = None
    video: "_Parts" = None
    video_url: "_Parts" = None
    document: "_Parts" = None
    input_audio: "_Parts" = None
    data: "_Parts" = None
    system: "_Parts" = None
    instructions: "_Parts" = None
    summary: "_Parts" = None
    tools: "_Parts" = None
    tool: "_Parts" = None
    definition: "_Parts" = None
    environment: "_Parts" = None
    item: "_Parts" = None
    params: "_Parts" = None
    results: "_Parts" = None
    messages: "_Parts" = None
    requests: "_Parts" = None
    prompt: str | list[str | int] | None = None
    voice: str | None = None
    audio: str | None = None
    container: None = None
    container_id: None = None
    thread: None = None
    diagnostics: None = None
    skills: None = None
    tool_resources: None = None
    attachments: None = None
    prompt_cache_options: None = None
    background_options: None = None
    file_id: None = None
    file_ids: None = None
    input_file_id: None = None
    vector_store_id: None = None
    vector_store_ids: None = None
    tunnel_id: None = None
    memory_store_id: None = None
    vault_ids: None = None
    user_profile_id: None = None
    workspace_id: None = None
    environment_id: None = None
    environment_template_id: None = None
    credential_id: None = None
    skill_id: None = None
    comparison_response_id: None = None
    response_id: None = None
    continuation_id: None = None
    previous_message_id: None = None
    approval_request_id: None = None


_Scalar = str | int | float | bool | None
_Parts = list[_Part | _Scalar] | _Part | _Scalar


class _Item(_Part, gc=False):
    """An item of the Responses API's input."""

    id: str | None = None
    type: str | None = None
    encrypted_content: str | None = None


class _Request(_Part, gc=False):
    """A request, or the response or session that an event of a websocket describes."""

    input: list[_Item | str] | str | None = None
    items: list[_Item] | None = None
    item: _Item | None = None
    response: "_Request | None" = None
    session: "_Request | None" = None


_REQUEST = msgspec.json.Decoder(_Request)
# Beyond these the values of a body are read by `survey_body`, which counts objects while it reads.
_MOST_BRACES = 40_000
_MOST_COMMAS = 400_000


def refers_to_nothing(body: bytes, *, responses: bool) -> bool:
    """Whether a body plainly has no id that `survey_body` would report; False where that takes a closer look.

    `previous_response_id` and `conversation` are not looked for.
    """
    if len(body) > _LARGE and (body.count(b"{") > _MOST_BRACES or body.count(b",") > _MOST_COMMAS):
        return False
    try:
        request = _REQUEST.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return not responses or not (_refers(request) or (request.response is not None and _refers(request.response)))


def _refers(request: _Request) -> bool:
    return any(
        item.id
        and vocabulary.refers_by_id(item.type, sealed=bool(item.encrypted_content), whole=item.content is not None)
        for items in (request.input, request.items, [request.item])
        if isinstance(items, list)
        for item in items
        if isinstance(item, _Item)
    )
