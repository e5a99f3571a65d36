"""What is asked for, and whether this caller may have it: models, and what belongs to other rooms."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_plus

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import RefusedError, UnknownIdError, refuse
from meshproxy_cli.proxy.core.routes import Body, Protocol, ProviderRoute, Reply
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.request.aliases import with_models, with_real_models
from meshproxy_cli.proxy.request.body import (
    BodyError,
    BodyTooLargeError,
    UnknownCodingError,
    expand,
    form_field,
    form_fields,
    with_form_field,
)
from meshproxy_cli.proxy.request.json_body import (
    MAX_NAMES,
    MAX_NAMES_OFF_LOOP,
    Document,
    DocumentError,
    NameBudget,
    NameBudgetError,
    read_document,
)
from meshproxy_cli.proxy.request.survey import (
    MOST_OBJECTS,
    MOST_OBJECTS_OF_BATCH,
    Survey,
    refers_to_nothing,
    survey_body,
    survey_form,
)
from meshproxy_cli.store.records import Room
from meshproxy_cli.tokens.models import model_allowed

_CHAT = "/v1/chat/completions"
_ANY = "*"
_REALTIME = "/v1/realtime/"
_EMBEDDINGS = "/v1/embeddings"
_RESPONSES = "/v1/responses"
_MOST_UNSEEN = 100  # ids of a request that other machines are asked for at once
_USUAL_QUERIES = frozenset({b"", b"beta=true"})
_CHOOSES = re.compile(
    "model|fallback|engine|deployment|preset|provider|route|plugin|tool|prompt|previous_|conversation|container|file_id"
)
_MAX_QUERY_FIELDS = 100
_OF_THE_WEBSOCKET = frozenset({None, "auto", "none"})  # conversations that Realtime keeps for this websocket alone
_FORMS = (b"multipart/", b"application/x-www-form-urlencoded")
_JSON_TYPE = re.compile(rb"application/json[ \t]*+(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of a body is read in one go: what is more is to be read elsewhere. None: without limit.

    `restricted` is the size for callers and rooms to whom only some models are open: theirs are read with more care.
    """

    names: int
    size: int | None = None
    restricted: int | None = None


#: About ten milliseconds, which other requests wait.
ON_LOOP = Effort(MAX_NAMES, 1024 * 1024, 128 * 1024)
OFF_LOOP = Effort(MAX_NAMES_OFF_LOOP)


class TooMuchForLoopError(Exception):
    """A body that takes longer to read than other requests may wait."""


@dataclass(slots=True)
class AuthorizedRequest:
    """What a request asks for. `body` replaces the client's where it had to be changed, None leaves it as it is.

    So does `target` with the client's, for its query. `hides_usage`: usage was asked for on the client's behalf, so the
    chunk with it is not for the client.
    """

    model: str = ""
    stream: bool = False
    body: bytes | None = None
    target: bytes | None = None
    hides_usage: bool = False
    stored: bool = True  # the provider keeps the answer, so another request may go on from it
    tracked: bool = False  # a later request may name the answer, though this endpoint's usually can't be


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """An event of a websocket's client: `creates` a response, with a model where it names one; see `Ask.stored`."""

    model: str
    creates: bool
    stored: bool = True


class Authorizer:
    """Reads a request's body as far as deciding about it needs. Every refusal is a `RefusedError`."""

    def __init__(
        self,
        owns: Callable[[Caller, str], bool],
        largest_expanded: int,
        knows: Callable[[str], bool] = lambda _: True,
        effort: Effort = OFF_LOOP,
    ) -> None:
        """Take `owns`: whether an id is the caller's room's; and `knows`: whether this machine has seen it at all.

        Beyond `effort`, `ask` and `event` raise `TooMuchForLoopError`.
        """
        self._effort = effort
        self._owns = owns
        self._knows = knows
        self._largest = largest_expanded

    def authorize(
        self, caller: Caller, route: ProviderRoute, room: Room | None, head: RequestHead, body: bytes
    ) -> AuthorizedRequest:
        """Return what is asked for, once all of it is allowed."""
        endpoint = route.endpoint
        _check_query(head.target, realtime=endpoint.body is Body.QUERY)
        if route.id:
            return self._about(caller, route, room)
        try:
            match endpoint.body:
                case Body.JSON | Body.BATCH if head.value(b"content-type").lower().startswith(_FORMS):
                    raise refuse(415, "unsupported_media_type", "Room Proxy: this endpoint takes application/json.")
                case Body.JSON if head.method == b"POST":
                    return self._json(caller, route, room, self._plain(caller, room, head, body))
                case Body.BATCH if head.method == b"POST":
                    return self._batch(caller, route.protocol, room, self._plain(caller, room, head, body))
                case Body.MULTIPART | Body.JSON_OR_MULTIPART:
                    return self._form(caller, route, room, head, self._plain(caller, room, head, body))
                case Body.QUERY:
                    return self._query(caller, room, head.target)
                case _:
                    return AuthorizedRequest()
        except BodyTooLargeError as problem:
            raise refuse(413, "request_too_large", f"Room Proxy: {problem}.") from None
        except UnknownCodingError as problem:
            raise refuse(415, "unsupported_encoding", f"Room Proxy: {problem}.") from None
        except (BodyError, DocumentError) as problem:
            self._pass_on(problem)
            raise refuse(400, "invalid_body", f"Room Proxy: {problem}.") from None

    def event(
        self, caller: Caller, room: Room | None, message: bytes, *, named: str = "", realtime: bool = False
    ) -> ClientEvent:
        """Check one event that a client sends on a websocket, and return what it asks for.

        `named`: the model that the websocket was opened for, "" where each event names its own. `realtime`: items and
        responses are of the websocket's own session.
        """
        self._check_size(caller, room, len(message))
        try:
            document = self._read(message)
            kind = document.text("type") or ""
            parts = [document, document.child("response"), document.child("session")]
            models = [model for part in parts if part is not None and (model := part.text("model"))]
            previous = [one for part in parts if part is not None and (one := part.text("previous_response_id"))]
            inner = None if parts[1] is None else parts[1].text("conversation")
            creates = kind == "response.create"
            for model in models or ((None,) if creates and not named else ()):
                self._permitted(caller, "openai", room, model)
            if document.has("conversation") or inner not in _OF_THE_WEBSOCKET:
                self._refuse_conversation()
            self._check_owners(caller, previous)
            self._check_whole(caller, room, "openai", message, realtime=realtime, responses=not realtime)
        except DocumentError as problem:
            self._pass_on(problem)
            raise refuse(400, "invalid_event", f"Room Proxy: {problem}.") from None
        stored = not any(part is not None and part.is_false("store") for part in parts)
        return ClientEvent(model=models[0] if models else "", creates=creates, stored=stored)

    def _plain(self, caller: Caller, room: Room | None, head: RequestHead, body: bytes) -> bytes:
        if b"content-encoding" not in head.by_name:
            self._check_size(caller, room, len(body))
            return body
        limit = self._most(caller, room)
        codings = head.values(b"content-encoding")
        if limit is None or limit >= self._largest:
            return expand(body, codings, self._largest)
        try:
            return expand(body, codings, limit)
        except BodyTooLargeError:
            raise TooMuchForLoopError from None

    def _most(self, caller: Caller, room: Room | None) -> int | None:
        """Return how large a plain body may be that is read here and now."""
        open_to_all = caller.models is None and (room is None or not room.models)
        return self._effort.size if open_to_all else self._effort.restricted

    def _check_size(self, caller: Caller, room: Room | None, size: int) -> None:
        most = self._most(caller, room)
        if most is not None and size > most:
            raise TooMuchForLoopError

    def _read(self, body: bytes) -> Document:
        return read_document(body, NameBudget(self._effort.names))

    def _pass_on(self, problem: Exception) -> None:
        """Have a body with very many names read elsewhere."""
        if isinstance(problem, NameBudgetError) and self._effort is not OFF_LOOP:
            raise TooMuchForLoopError from None

    def _json(self, caller: Caller, route: ProviderRoute, room: Room | None, body: bytes) -> AuthorizedRequest:
        document = self._read(body)
        named = document.text("model")
        if document.has("stream") and not (document.is_true("stream") or document.is_false("stream")):
            raise DocumentError("'stream' must be true or false")  # some providers take 1 or "true" for true
        if route.endpoint.path.startswith(_REALTIME):
            plain = body if room is None else with_real_models(body, room.aliases)
            ask = self._session(caller, room, self._read(plain))
            self._check_whole(caller, room, "openai", plain, realtime=True)
            ask.body = None if plain == body else plain
            return ask
        real = _alias(room, named)
        ask = AuthorizedRequest(
            model=self._permitted(caller, route.protocol, room, real), stream=document.is_true("stream")
        )
        responses = route.endpoint.path.startswith(_RESPONSES)
        if responses:
            self._check_references(caller, document)
            ask.stored = not document.is_false("store")
        changes: dict[str, object] = {}
        if real != named:
            changes["model"] = real
        if route.endpoint.path == _CHAT and ask.stream and (options := _usage_options(document)) is not None:
            changes["stream_options"] = options
            ask.hides_usage = True
        if changes:
            ask.body = document.replaced(changes)
        ask.tracked = document.has("thread") or document.has("diagnostics")
        looked_at = body if ask.body is None else ask.body
        if route.endpoint.path == _EMBEDDINGS:  # its input is text or tokens, of which there may be very many
            looked_at = document.replaced({"input": None, "model": real})
        self._check_whole(caller, room, route.protocol, looked_at, responses=responses)
        return ask

    def _form(
        self, caller: Caller, route: ProviderRoute, room: Room | None, head: RequestHead, body: bytes
    ) -> AuthorizedRequest:
        kind = head.value(b"content-type")
        if route.endpoint.body is Body.JSON_OR_MULTIPART and _JSON_TYPE.match(kind):
            return self._json(caller, route, room, body)
        named = form_field(body, kind, b"model")
        real = _alias(room, named)
        ask = AuthorizedRequest(model=self._permitted(caller, route.protocol, room, real))
        if real != named:
            ask.body = with_form_field(body, kind, b"model", ask.model)
        fields = [(name, ask.model if name == "model" else value) for name, value in form_fields(body, kind)]
        self._check_found(caller, room, route.protocol, survey_form(fields))
        return ask

    def _session(self, caller: Caller, room: Room | None, document: Document) -> AuthorizedRequest:
        """Check a realtime session that is made over HTTP: it names models in several places."""
        parts = [part for part in (document, document.child("session")) if part is not None]
        models = [model for part in parts if (model := part.text("model"))]
        others = [model for part in parts for model in _transcribers(part)]
        for model in [*models, *others] or (None,):
            self._permitted(caller, "openai", room, model)
        return AuthorizedRequest(model=(models or others or [""])[0])

    def _query(self, caller: Caller, room: Room | None, target: bytes) -> AuthorizedRequest:
        named = _query_value(target, "model")
        if _query_value(target, "call_id") is not None:
            raise refuse(404, "call_not_found", "Room Proxy: there is no such call in this room; none are offered.")
        real = _alias(room, named)
        ask = AuthorizedRequest(model=self._permitted(caller, "openai", room, real))
        if real != named:
            ask.target = _with_query_model(target, ask.model)
        return ask

    def _batch(self, caller: Caller, protocol: Protocol, room: Room | None, body: bytes) -> AuthorizedRequest:
        document = self._read(body)
        entries = document.children("requests")
        params = [entry.child("params") for entry in entries]
        named = [None if one is None else one.text("model") for one in params]
        models = [_alias(room, model) for model in named]
        for model in models:
            self._permitted(caller, protocol, room, model)
        changed = with_models(document, entries, models) if models != named else None
        looked_at = body if changed is None else changed
        self._check_whole(caller, room, protocol, looked_at, objects=MOST_OBJECTS_OF_BATCH)
        return AuthorizedRequest(model=(models[0] or "") if models else "", body=changed)

    def _check_whole(
        self,
        caller: Caller,
        room: Room | None,
        protocol: Protocol,
        body: bytes,
        *,
        realtime: bool = False,
        responses: bool = False,
        objects: int = MOST_OBJECTS,
    ) -> None:
        """Check every model that a body names, and everything that it refers to."""
        if _is_limited(caller, room, protocol) or not refers_to_nothing(body, responses=responses):
            if self._effort.restricted is not None and len(body) > self._effort.restricted:
                raise TooMuchForLoopError
            found = survey_body(body, realtime=realtime, responses=responses, objects=objects)
            self._check_found(caller, room, protocol, found)

    def _check_found(self, caller: Caller, room: Room | None, protocol: Protocol, found: Survey) -> None:
        for ident in found.foreign:
            raise _no_such_id(caller, ident)
        self._check_owners(caller, found.references)
        if _is_limited(caller, room, protocol):
            for model in found.models:
                self._permitted(caller, protocol, room, model)
            allowed = () if room is None else room.tools
            for name, what in found.unknown.items():
                if name not in allowed:
                    raise refuse(
                        403,
                        "tool_not_allowed",
                        f"Room Proxy: only some models are allowed here, and {what} may run another one. Leave it out, "
                        f"or ask the proxy's admin to allow it: meshproxy room set {caller.room} --tool {name}",
                    )

    def _about(self, caller: Caller, route: ProviderRoute, room: Room | None) -> AuthorizedRequest:
        if route.endpoint.reply is Reply.BATCH:
            self._check_owners(caller, [route.id])
            return AuthorizedRequest()
        return AuthorizedRequest(model=self._permitted(caller, route.protocol, room, route.id))

    def _check_references(self, caller: Caller, document: Document) -> None:
        previous = document.text("previous_response_id")
        if previous:
            self._check_owners(caller, [previous])
        if document.has("conversation"):
            self._refuse_conversation()

    def _refuse_conversation(self) -> None:
        raise refuse(
            404,
            "conversation_not_found",
            "Room Proxy: there is no such conversation in this room; stored conversations are not offered here.",
        )

    def _check_owners(self, caller: Caller, idents: Sequence[str]) -> None:
        """Check that answers to this room brought all of these ids."""
        strange = [ident for ident in idents if not self._owns(caller, ident)]
        for ident in strange:
            if self._knows(ident):
                raise _no_such_id(caller, ident)
        if strange:
            unseen = tuple(dict.fromkeys(strange))[:_MOST_UNSEEN]
            raise UnknownIdError(_no_such_id(caller, unseen[0]).refusal, unseen)

    def _permitted(self, caller: Caller, protocol: Protocol, room: Room | None, model: str | None) -> str:
        """Return the model, once token and room allow it; one that is not named is allowed where all are."""
        own = room.models or None if room is not None else None
        if not model:
            if not _is_limited(caller, room, protocol):
                return ""
            raise refuse(400, "model_missing", "Room Proxy: name a 'model'; this token allows only some.")
        if not model_allowed(caller.models, protocol, model):
            allowed = ", ".join(caller.models or ()) or "none"
            raise refuse(
                403,
                "model_not_allowed",
                f"Room Proxy: this token does not allow the model '{model}'. Allowed: {allowed}. "
                "Choose one of these, or get a token that allows it.",
            )
        if not model_allowed(own, protocol, model):
            allowed = ", ".join(own or ())
            raise refuse(
                403,
                "model_not_allowed",
                f"Room Proxy: the room '{caller.room}' does not allow the model '{model}'. Allowed: {allowed}. "
                "Choose one of these, or ask the proxy's admin for it.",
            )
        return model

    def visible(self, caller: Caller, room: Room | None, protocol: Protocol, model: str) -> bool:
        """Whether lists of models show this one to the caller."""
        own = room.models or None if room is not None else None
        return model_allowed(caller.models, protocol, model) and model_allowed(own, protocol, model)


def _no_such_id(caller: Caller, ident: str) -> RefusedError:
    return refuse(404, "not_found", f"Room Proxy: there is no '{ident[:80]}' in the room '{caller.room}'.")


def _is_limited(caller: Caller, room: Room | None, protocol: Protocol) -> bool:
    """Whether token or room allow some of the provider's models only."""
    own = room.models or None if room is not None else None
    return not all(patterns is None or _allows_all(patterns, protocol) for patterns in (caller.models, own))


def _check_query(target: bytes, *, realtime: bool) -> None:
    """Refuse a query that chooses a model, or names what the body names: some providers prefer it to the body."""
    _, _, query = target.partition(b"?")
    if query in _USUAL_QUERIES:
        return
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if _CHOOSES.search(name.casefold()) and not (realtime and name == "model"):
            raise refuse(400, "invalid_query", f"Room Proxy: '{name[:80]}' can't be given in the query; use the body.")


def _allows_all(patterns: tuple[str, ...], protocol: Protocol) -> bool:
    return any(pattern in {_ANY, f"{protocol}/*"} for pattern in patterns)


def _alias(room: Room | None, model: str | None) -> str | None:
    return model if room is None or model is None else room.aliases.get(model, model)


def _usage_options(document: Document) -> dict[str, object] | None:
    """Return the `stream_options` that ask for usage, None where the client asks for it itself."""
    options = document.child("stream_options")
    if options is None:
        return {"include_usage": True}
    if options.is_true("include_usage"):
        return None
    return {**options.members, "include_usage": True}


def _transcribers(session: Document) -> list[str]:
    """Return the models that a realtime session transcribes with."""
    audio = session.child("audio") if session.is_object("audio") else None
    heard = audio.child("input") if audio is not None else None
    parts = [session.child("input_audio_transcription"), heard.child("transcription") if heard is not None else None]
    return [model for part in parts if part is not None and (model := part.text("model"))]


def _query_value(target: bytes, name: str) -> str | None:
    _, _, query = target.partition(b"?")
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        raise DocumentError(f"the query has more than {_MAX_QUERY_FIELDS} fields") from None
    values = [value for key, value in pairs if key == name]
    if len(values) > 1:
        raise DocumentError(f"the query names '{name}' twice")
    return values[0] if values else None


def _with_query_model(target: bytes, model: str) -> bytes:
    """Return the target with another model in its query, everything else as it was."""
    path, _, query = target.partition(b"?")
    pairs = [
        f"model={quote(model, safe='')}".encode() if unquote_plus(pair.partition("=")[0]) == "model" else pair.encode()
        for pair in query.decode("ascii").split("&")
    ]
    return path + b"?" + b"&".join(pairs)
