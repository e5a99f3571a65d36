"""What is asked for, and whether this caller may have it: models, and what belongs to other rooms."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_plus

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import UnknownIdError, refuse
from meshproxy_cli.proxy.core.routes import Body, Protocol, ProviderRoute, Reply
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.request.aliases import with_models, with_real_models
from meshproxy_cli.proxy.request.body import (
    BodyError,
    BodyTooLargeError,
    UnknownCodingError,
    expand,
    form_field,
    with_form_field,
)
from meshproxy_cli.proxy.request.json_body import Document, DocumentError, read_document
from meshproxy_cli.store.records import Room
from meshproxy_cli.tokens.models import model_allowed

_CHAT = "/v1/chat/completions"
_ANY = "*"
_REALTIME = "/v1/realtime/"
_HELPERS = ("tools", "fallbacks")
_OF_THE_WEBSOCKET = frozenset({None, "auto", "none"})  # conversations that Realtime keeps for this websocket alone
_FORMS = (b"multipart/", b"application/x-www-form-urlencoded")
_JSON_TYPE = re.compile(rb"application/json[ \t]*(?:;|$)", re.IGNORECASE)


@dataclass(slots=True)
class Ask:
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


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """An event of a websocket's client: `creates` a response, with a model where it names one; see `Ask.stored`."""

    model: str
    creates: bool
    stored: bool = True


class Authoriser:
    """Reads a request's body as far as deciding about it needs. Every refusal is a `RefusedError`."""

    def __init__(
        self,
        owns: Callable[[Caller, str], bool],
        largest_expanded: int,
        knows: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Take `owns`: whether an id is the caller's room's; and `knows`: whether this machine has seen it at all."""
        self._owns = owns
        self._knows = knows
        self._largest = largest_expanded

    def ask(self, caller: Caller, route: ProviderRoute, room: Room | None, head: RequestHead, body: bytes) -> Ask:
        """Return what is asked for, once all of it is allowed."""
        endpoint = route.endpoint
        if route.id:
            return self._about(caller, route, room)
        try:
            match endpoint.body:
                case Body.JSON | Body.BATCH if head.value(b"content-type").lower().startswith(_FORMS):
                    raise refuse(415, "unsupported_media_type", "Room Proxy: this endpoint takes application/json.")
                case Body.JSON if head.method == b"POST":
                    return self._json(caller, route, room, self._plain(head, body))
                case Body.BATCH if head.method == b"POST":
                    return self._batch(caller, route.protocol, room, self._plain(head, body))
                case Body.MULTIPART | Body.JSON_OR_MULTIPART:
                    return self._form(caller, route, room, head, self._plain(head, body))
                case Body.QUERY:
                    return self._query(caller, room, head.target)
                case _:
                    return Ask()
        except BodyTooLargeError as problem:
            raise refuse(413, "request_too_large", f"Room Proxy: {problem}.") from None
        except UnknownCodingError as problem:
            raise refuse(415, "unsupported_encoding", f"Room Proxy: {problem}.") from None
        except (BodyError, DocumentError) as problem:
            raise refuse(400, "invalid_body", f"Room Proxy: {problem}.") from None

    def event(self, caller: Caller, room: Room | None, message: bytes, *, named: str = "") -> ClientEvent:
        """Check one event that a client sends on a websocket, and return what it asks for.

        `named`: the model that the websocket was opened for, "" where each event names its own.
        """
        try:
            document = read_document(message)
            kind = document.text("type") or ""
            parts = [document, document.child("response"), document.child("session")]
            models = [model for part in parts if part is not None and (model := part.text("model"))]
            others = [model for part in parts if part is not None for model in _transcribers(part)]
            previous = [one for part in parts if part is not None and (one := part.text("previous_response_id"))]
            inner = None if parts[1] is None else parts[1].text("conversation")
        except DocumentError as problem:
            raise refuse(400, "invalid_event", f"Room Proxy: {problem}.") from None
        creates = kind == "response.create"
        nothing: tuple[None, ...] = (None,) if creates and not named else ()
        for model in [*models, *others] or nothing:
            self._permitted(caller, "openai", room, model)
        if document.has("conversation") or inner not in _OF_THE_WEBSOCKET:
            self._refuse_conversation()
        for one in previous:
            self._check_owner(caller, one)
        for part in parts:
            if part is not None:
                self._check_helpers(caller, "openai", room, part)
        stored = not any(part is not None and part.is_false("store") for part in parts)
        return ClientEvent(model=models[0] if models else "", creates=creates, stored=stored)

    def _plain(self, head: RequestHead, body: bytes) -> bytes:
        codings = head.by_name.get(b"content-encoding")
        return body if codings is None else expand(body, head.values(b"content-encoding"), self._largest)

    def _json(self, caller: Caller, route: ProviderRoute, room: Room | None, body: bytes) -> Ask:
        document = read_document(body)
        named = document.text("model")
        if document.has("stream") and not (document.is_true("stream") or document.is_false("stream")):
            raise DocumentError("'stream' must be true or false")  # some providers take 1 or "true" for true
        if route.endpoint.path.startswith(_REALTIME):
            plain = body if room is None else with_real_models(body, room.aliases)
            ask = self._session(caller, room, read_document(plain))
            ask.body = None if plain == body else plain
            return ask
        real = _alias(room, named)
        ask = Ask(model=self._permitted(caller, route.protocol, room, real), stream=document.is_true("stream"))
        self._check_helpers(caller, route.protocol, room, document)
        if route.endpoint.path.startswith("/v1/responses"):
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
        return ask

    def _form(self, caller: Caller, route: ProviderRoute, room: Room | None, head: RequestHead, body: bytes) -> Ask:
        kind = head.value(b"content-type")
        if route.endpoint.body is Body.JSON_OR_MULTIPART and _JSON_TYPE.match(kind):
            return self._json(caller, route, room, body)
        named = form_field(body, kind, b"model")
        real = _alias(room, named)
        ask = Ask(model=self._permitted(caller, route.protocol, room, real))
        if real != named:
            ask.body = with_form_field(body, kind, b"model", ask.model)
        return ask

    def _session(self, caller: Caller, room: Room | None, document: Document) -> Ask:
        """Check a realtime session that is made over HTTP: it names models in several places."""
        parts = [part for part in (document, document.child("session")) if part is not None]
        models = [model for part in parts if (model := part.text("model"))]
        others = [model for part in parts for model in _transcribers(part)]
        for model in [*models, *others] or (None,):
            self._permitted(caller, "openai", room, model)
        return Ask(model=(models or others or [""])[0])

    def _query(self, caller: Caller, room: Room | None, target: bytes) -> Ask:
        named = _query_value(target, "model")
        if _query_value(target, "call_id") is not None:
            raise refuse(404, "call_not_found", "Room Proxy: there is no such call in this room; none are offered.")
        real = _alias(room, named)
        ask = Ask(model=self._permitted(caller, "openai", room, real))
        if real != named:
            ask.target = _with_query_model(target, ask.model)
        return ask

    def _batch(self, caller: Caller, protocol: Protocol, room: Room | None, body: bytes) -> Ask:
        document = read_document(body)
        entries = document.children("requests")
        params = [entry.child("params") for entry in entries]
        named = [None if one is None else one.text("model") for one in params]
        models = [_alias(room, model) for model in named]
        for model in models:
            self._permitted(caller, protocol, room, model)
        for one in params:
            if one is not None:
                self._check_helpers(caller, protocol, room, one)
        changed = with_models(document, entries, models) if models != named else None
        return Ask(model=(models[0] or "") if models else "", body=changed)

    def _check_helpers(self, caller: Caller, protocol: Protocol, room: Room | None, document: Document) -> None:
        """Check the models that an answer may use beside its own: those of tools, and those to fall back on."""
        if caller.models is None and (room is None or not room.models):
            return
        for name in _HELPERS:
            raw = bytes(document.members.get(name, b""))
            if not raw.startswith(b"[") or not (b'"model"' in raw or b"\\u" in raw):
                continue  # nothing there names a model, as with nearly all tools
            for helper in document.children(name):
                if helper.is_text("model"):
                    self._permitted(caller, protocol, room, helper.text("model"))

    def _about(self, caller: Caller, route: ProviderRoute, room: Room | None) -> Ask:
        if route.endpoint.reply is Reply.BATCH:
            self._check_owner(caller, route.id)
            return Ask()
        return Ask(model=self._permitted(caller, route.protocol, room, route.id))

    def _check_references(self, caller: Caller, document: Document) -> None:
        previous = document.text("previous_response_id")
        if previous:
            self._check_owner(caller, previous)
        if document.has("conversation"):
            self._refuse_conversation()

    def _refuse_conversation(self) -> None:
        raise refuse(
            404,
            "conversation_not_found",
            "Room Proxy: there is no such conversation in this room; stored conversations are not offered here.",
        )

    def _check_owner(self, caller: Caller, ident: str) -> None:
        if not self._owns(caller, ident):
            message = f"Room Proxy: there is no '{ident[:80]}' in the room '{caller.room}'."
            refused = refuse(404, "not_found", message)
            raise refused if self._knows(ident) else UnknownIdError(refused.refusal, ident)

    def _permitted(self, caller: Caller, protocol: Protocol, room: Room | None, model: str | None) -> str:
        """Return the model, once token and room allow it; one that is not named is allowed where all are."""
        own = room.models or None if room is not None else None
        if not model:
            if all(patterns is None or _allows_all(patterns, protocol) for patterns in (caller.models, own)):
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
    values = [value for key, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if key == name]
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
