"""Which request is for whom: the table of paths, and how a request's target is matched with it.

The path that goes upstream is taken from this table, never put together from what a client sent (but for an id, whose
characters are checked). Paths: MeshAgent's Room Proxy.
"""

import enum
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

Protocol = Literal["openai", "anthropic"]


class Body(enum.Enum):
    """Where in a request the model is named."""

    NONE = enum.auto()
    JSON = enum.auto()
    MULTIPART = enum.auto()
    JSON_OR_MULTIPART = enum.auto()  # as the Content-Type says
    BATCH = enum.auto()  # Anthropic's batches: one model for each entry
    QUERY = enum.auto()


class Reply(enum.Enum):
    """What has to happen to an answer beyond passing it on."""

    PASS = enum.auto()
    MODELS = enum.auto()  # narrowed to the models that the token allows
    BATCHES = enum.auto()  # narrowed to the room's own
    RESPONSE = enum.auto()  # its id belongs to the room from now on
    BATCH = enum.auto()


#: Replies whose body reaches the client as it is, whatever is read out of it.
PASSED_ON = frozenset({Reply.PASS, Reply.RESPONSE, Reply.BATCH})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One provider path: `path` as the provider has it, with `{id}` for a checked segment."""

    path: str
    methods: frozenset[bytes]
    body: Body = Body.NONE
    reply: Reply = Reply.PASS
    websocket: bool = False


@dataclass(frozen=True, slots=True)
class ProviderRoute:
    """A request for a provider: `room` is None on project-wide paths, where the token names it."""

    protocol: Protocol
    room: str | None
    endpoint: Endpoint
    path: bytes  # of the upstream, from the endpoint and the checked id
    id: str = ""


@dataclass(frozen=True, slots=True)
class ProbeRoute:
    """A base URL or health probe, which answers 200 to anybody."""


@dataclass(frozen=True, slots=True)
class AppRoute:
    """Whatever is not a provider's: REST, dashboard, metrics."""


@dataclass(frozen=True, slots=True)
class NoRoute:
    """A path below a provider's base URL that is not offered."""

    protocol: Protocol
    reason: str


@dataclass(frozen=True, slots=True)
class BadRoute:
    """A target that could be understood in two ways."""

    reason: str


Route = ProviderRoute | ProbeRoute | AppRoute | NoRoute | BadRoute

_GET = frozenset({b"GET", b"HEAD"})
_POST = frozenset({b"POST"})


def _posts(*paths: str, body: Body = Body.JSON) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(path, _POST, body) for path in paths)


_MODELS = (Endpoint("/v1/models", _GET, reply=Reply.MODELS), Endpoint("/v1/models/{id}", _GET))

_OPENAI = (
    *_posts("/v1/chat/completions", "/v1/responses/input_tokens", "/v1/embeddings"),
    Endpoint("/v1/responses/compact", _POST, Body.JSON, Reply.RESPONSE),
    *_posts("/v1/audio/speech", "/v1/images/generations"),
    *_posts("/v1/audio/transcriptions", "/v1/audio/translations", body=Body.MULTIPART),
    *_posts("/v1/images/variations", body=Body.MULTIPART),
    *_posts("/v1/images/edits", body=Body.JSON_OR_MULTIPART),
    Endpoint("/v1/responses", _POST | {b"GET"}, Body.JSON, Reply.RESPONSE, websocket=True),
    Endpoint("/v1/realtime", frozenset({b"GET"}), Body.QUERY, websocket=True),
    *_posts("/v1/realtime/sessions", "/v1/realtime/client_secrets", "/v1/realtime/transcription_sessions"),
    *_MODELS,
)
_ANTHROPIC = (
    *_posts("/v1/messages", "/v1/messages/count_tokens", "/v1/complete"),
    Endpoint("/v1/messages/batches", _POST | _GET, Body.BATCH, Reply.BATCHES),
    Endpoint("/v1/messages/batches/{id}", _GET | {b"DELETE"}, reply=Reply.BATCH),
    Endpoint("/v1/messages/batches/{id}/results", _GET, reply=Reply.BATCH),
    Endpoint("/v1/messages/batches/{id}/cancel", _POST, reply=Reply.BATCH),
    *_MODELS,
)
_TABLE: dict[Protocol, dict[str, Endpoint]] = {
    "openai": {endpoint.path: endpoint for endpoint in _OPENAI},
    "anthropic": {endpoint.path: endpoint for endpoint in _ANTHROPIC},
}
_ID = re.compile(r"[0-9A-Za-z._:@~-]+(?:/[0-9A-Za-z._:@~-]+){0,3}")
_WITH_ID = re.compile(r"(/v1/(?:models|messages/batches)/)(.+?)(/results|/cancel)?")
_BASE = re.compile(r"(?:/rooms/([^/]+))?(?:/(openai)(?=/v1(?:/|$)|/?$|/api/hello$)|/(anthropic)(?=/|$))?(/.*|$)")
_WITHOUT_ROOM = ("/v1/", "/openai/")
_PROBE_METHODS = _GET
_PROBES = frozenset({"", "/", "/v1", "/v1/", "/api/hello", "/v1/api/hello"})
_AMBIGUOUS = re.compile(r"//|\\|%2f|%5c|%00|(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_CACHE_SIZE = 2048


class Routes:
    """Matches targets, remembering the latest ones."""

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[bytes, bytes], Route] = OrderedDict()

    def match(self, method: bytes, path: bytes) -> Route:
        """Return the route of a request's path (the target up to its `?`)."""
        key = (method, path)
        route = self._cache.get(key)
        if route is None:
            route = match(method, path)
            self._cache[key] = route
            if len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        return route


def match(method: bytes, path: bytes) -> Route:
    """Return the route of `path`, whose bytes are visible ASCII."""
    text = path.decode("ascii")
    if not text.startswith("/"):
        return BadRoute("the request target is not a path")
    found = _BASE.fullmatch(text)
    if found is None or not (found[1] or found[2] or found[3]):
        return _outside(method, text)
    if _AMBIGUOUS.search(found[4]):
        return BadRoute("the path holds empty, dot or encoded-slash segments")
    room = None if found[1] is None else _room(found[1])
    if found[1] is not None and room is None:
        return BadRoute("the room's name in the path is malformed")
    protocol: Protocol = "anthropic" if found[3] else "openai"
    return _inside(method, protocol, room, found[4])


def _outside(method: bytes, text: str) -> Route:
    if method == b"HEAD" and text in {"/", "/api/hello"}:
        return ProbeRoute()
    if text.startswith(_WITHOUT_ROOM):  # a base URL of which only the beginning was given to an agent
        return _not_offered("anthropic" if text in _TABLE["anthropic"] else "openai", text, method, astray=True)
    return AppRoute()


def _room(segment: str) -> str | None:
    """Return the name in a room's segment: it may hold slashes, encoded, but nothing that could pass for a path."""
    try:
        name = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return None
    usable = name.isprintable() and "\\" not in name and all(part.strip(" .") for part in name.split("/"))
    return name if usable else None


def _inside(method: bytes, protocol: Protocol, room: str | None, rest: str) -> Route:
    if rest in _PROBES:
        return ProbeRoute() if method in _PROBE_METHODS else NoRoute(protocol, "this is a base URL")
    table = _TABLE[protocol]
    endpoint, ident = table.get(rest), ""
    if endpoint is None or "{" in rest:
        found = _WITH_ID.fullmatch(rest)
        if found is None or not _ID.fullmatch(unquote(found[2])):
            return _not_offered(protocol, rest)
        ident = found[2]
        endpoint = table.get(f"{found[1]}{{id}}{found[3] or ''}")
    if endpoint is None:
        return _not_offered(protocol, rest)
    if method not in endpoint.methods:
        return _not_offered(protocol, rest, method)
    return ProviderRoute(protocol, room, endpoint, endpoint.path.replace("{id}", ident).encode(), unquote(ident))


def _not_offered(protocol: Protocol, rest: str, method: bytes = b"", *, astray: bool = False) -> NoRoute:
    what = f"{method.decode()} {rest}".strip()
    astray = astray or not rest.startswith("/v1/") or rest.startswith("/v1/v1/")
    hint = "; base URLs are /rooms/ROOM/openai/v1 and /rooms/ROOM/anthropic" if astray else ""
    return NoRoute(protocol, f"{what} is not offered here{hint}")
