"""Who is calling: credential, token, room and session of a request. No fallback identity: all of it, or a refusal."""

import hashlib
import shlex
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from meshproxy_cli.proxy.core.bounded_cache import BoundedCache
from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.proxy.core.errors import RefusedError, refuse
from meshproxy_cli.proxy.core.routes import ProviderRoute
from meshproxy_cli.proxy.http1.head import RequestHead
from meshproxy_cli.proxy.request.signature import signed_by
from meshproxy_cli.proxy.upstream.forwarded_headers import CREDENTIAL_PROTOCOLS
from meshproxy_cli.tokens.claims import ParticipantToken, TokenError, TokenProblem
from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.participant import check_times, decode_unverified, verify

_CACHE_BYTES = 32 * 1024 * 1024  # of each cache
_ENTRY_BYTES = 1000  # a small entry's objects, about
_TOKEN_FACTOR = 12  # bytes of objects that a byte of a token can become: a list of short names, at worst
_MOST_STALE = 10_000
_MAX_TOKEN_BYTES = 16 * 1024
_MAX_SESSION = 200
_LONGEST_SHOWN = 50
_MAX_OFFERS = 10  # subprotocols of a websocket in which a credential is looked for
_AGENT_STOPS = str.maketrans("/ (;", "    ")

_NO_CREDENTIAL = (
    "Room Proxy: no participant token was sent. Send one as 'Authorization: Bearer TOKEN' (or x-api-key); "
    "`meshproxy token get --room ROOM` makes one."
)
_NO_SESSION = (
    "Room Proxy: the header Meshagent-Session is missing: every request needs it, since usage is grouped by it. "
    "`meshproxy configure` sets it for agents; by hand send for example 'Meshagent-Session: my-session'."
)


class Authenticator:
    """Establishes callers. Verified tokens are kept, under a hash of the whole token, until the directory changes."""

    def __init__(self, directory: Directory, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._tokens: BoundedCache[bytes, ParticipantToken] = BoundedCache(_CACHE_BYTES)
        self._callers: BoundedCache[tuple[bytes, str | None, bytes, bytes], tuple[Caller, float]] = BoundedCache(
            _CACHE_BYTES
        )
        self._stale: OrderedDict[bytes, float] = OrderedDict()
        self.strict_rooms = False

    def use(self, directory: Directory) -> None:
        """Go by this directory from now on: tokens are verified again against it."""
        self._directory = directory
        self._tokens.clear()
        self._callers.clear()

    def caller(self, head: RequestHead, route: ProviderRoute) -> Caller:
        """Return who sent this request. Raises `RefusedError`."""
        return self.identify(head, route)[0]

    def identify(self, head: RequestHead, route: ProviderRoute) -> tuple[Caller, float]:
        """Return who sent this request, and the Unix time until which that holds. Raises `RefusedError`."""
        tokens = credentials(head)
        if not tokens:
            raise refuse(401, "token_missing", _NO_CREDENTIAL)
        session, agent = head.value(b"meshagent-session"), head.value(b"user-agent")
        digest = hashlib.sha256(tokens[0]).digest()
        found = self._callers.get((digest, route.room, session, agent))
        if found is not None and self._clock() < found[1]:
            return found
        asks_model = head.method == b"POST" or route.endpoint.websocket
        digest, token = self._best(tokens, session + b" " + agent if asks_model else None)
        caller = Caller(
            project_id=token.project_id,
            room=self._room(token, route.room),
            session=_session(session, token.session),
            participant=token.identity,
            key_id=token.key_id,
            agent=agent_name(agent),
            models=token.models,
        )
        until = float("inf") if token.expires_at is None else float(token.expires_at)
        size = _ENTRY_BYTES + 4 * (len(caller.room) + len(session)) + len(agent)
        self._callers.put((digest, route.room, session, agent), (caller, until), size)
        return caller, until

    def knows_key(self, head: RequestHead) -> bool:
        """Whether no credential of the request names an API key that is not in the directory."""
        unknown = TokenProblem.UNKNOWN_KEY
        return all(self._problem(token) is not unknown for token in credentials(head))

    def _problem(self, text: bytes) -> TokenProblem | None:
        try:
            self._verified(text)
        except TokenError as problem:
            return problem.reason
        return None

    def _best(self, tokens: list[bytes], who: bytes | None) -> tuple[bytes, ParticipantToken]:
        """Return the first credential that is a valid token; where none is, refuse for the first one's reason."""
        first: RefusedError | None = None
        for text in tokens:
            try:
                return self._verified(text)
            except TokenError as problem:
                first = first or self._refused(problem, text, who)
        raise first or refuse(401, "token_missing", _NO_CREDENTIAL)

    def _verified(self, text: bytes) -> tuple[bytes, ParticipantToken]:
        digest = hashlib.sha256(text).digest()
        token = self._tokens.get(digest)
        now = int(self._clock())
        if token is None:
            if len(text) > _MAX_TOKEN_BYTES:
                raise TokenError(TokenProblem.MALFORMED, "this is no participant token: it is too long")
            token = verify(text.decode("latin-1"), self._directory.key, now=now, signed_by=signed_by)
            # Of the scope only a member that is refused is read here, and small JSON can make large objects.
            unknown: Json = {name[:_LONGEST_SHOWN]: None for name in token.unknown_llm_members[:1]}
            token = replace(token, scope={"llm": unknown})
            self._tokens.put(digest, token, _ENTRY_BYTES + _TOKEN_FACTOR * len(text))
        else:
            check_times(token, now=now)
        return digest, token

    def _refused(self, problem: TokenError, text: bytes, who: bytes | None) -> RefusedError:
        """Refuse a token; whoever fetches theirs from a helper gets the chance to fetch a new one, once.

        An expired token is refused for good the second time. A revoked key signs a new token at every call of a helper
        that still has it, so there the chance is the participant's, once a minute. `who` tells the agents of one
        participant apart; a list of models (None) does not use the chance up: Codex asks for an answer with the same
        token afterwards.
        """
        now = self._clock()
        subject = b""
        if problem.reason is TokenProblem.EXPIRED:
            subject = text
        elif problem.reason is TokenProblem.REVOKED_KEY:
            claims = decode_unverified(text.decode("latin-1"))
            subject = f"{claims.key_id} {claims.identity} {claims.room} {now // 60}".encode()
        fresh = subject != b"" and (who is None or not self._seen_before(subject + b" " + who, now))
        return refuse(401, f"token_{problem.reason}", _message(problem), new_token=fresh)

    def _seen_before(self, subject: bytes, now: float) -> bool:
        digest = hashlib.sha256(subject).digest()
        first = self._stale.get(digest)
        if first is None:
            self._stale[digest] = now
            if len(self._stale) > _MOST_STALE:
                self._stale.popitem(last=False)
        return first is not None and now - first > _PARALLEL_S

    def _room(self, token: ParticipantToken, named: str | None) -> str:
        if not token.llm:
            raise refuse(
                403,
                "llm_not_granted",
                "Room Proxy: this token does not grant model access. Add `llm: {}` to its spec's api section and sign "
                "a new one: meshproxy token generate --spec FILE",
            )
        if unknown := token.unknown_llm_members:
            raise refuse(
                403,
                "llm_member_unknown",
                f"Room Proxy: this token's llm grant has a member that is not known, {unknown[0][:_LONGEST_SHOWN]!r}; "
                "the list of models is called `models`. Fix its spec and sign a new one: "
                "meshproxy token generate --spec FILE",
            )
        room = named if named is not None else token.room
        if room is None:
            raise refuse(
                403, "room_missing", "Room Proxy: this token names no room. Use a URL with /rooms/ROOM/ in it."
            )
        if token.room is not None and token.room != room:
            raise refuse(
                403,
                "wrong_room",
                f"Room Proxy: this token is for the room '{token.room}', and the request is for the room '{room}'. "
                f"Get a token for it: meshproxy token get --room {shlex.quote(room)}",
            )
        if self.strict_rooms and self._directory.room(token.project_id, room) is None:
            raise refuse(
                403,
                "unknown_room",
                f"Room Proxy: there is no room '{room}' on this server. "
                f"Ask its admin to create it: meshproxy room create {shlex.quote(room)}",
            )
        return room


# Requests that an agent sends side by side may carry the same expired token; Claude Code tries again after 1.0 s.
_PARALLEL_S = 0.9

_HINTS = {
    TokenProblem.EXPIRED: "Get a new one: meshproxy token get --room ROOM",
    TokenProblem.REVOKED_KEY: "Make a new key: meshproxy api-key create NAME --activate",
    TokenProblem.UNKNOWN_KEY: "It may be for another server; `meshproxy doctor` finds out.",
    TokenProblem.WRONG_PROJECT: "It may be for another server; `meshproxy doctor` finds out.",
    TokenProblem.NOT_YET_VALID: "Check this machine's clock.",
    TokenProblem.BAD_SIGNATURE: "Make a new token: meshproxy token get --room ROOM",
}


def _message(problem: TokenError) -> str:
    hint = _HINTS.get(problem.reason, "A participant token is what `meshproxy token get --room ROOM` prints.")
    return f"Room Proxy: {problem.message}. {hint}"


def credentials(head: RequestHead) -> list[bytes]:
    """Return the credentials sent, bearer first, each once: agents may send the same one in two headers."""
    found: list[bytes] = []
    bearer = head.value(b"authorization")
    if bearer[:7].lower() == b"bearer " and bearer[7:].strip():
        found.append(bearer[7:].strip())
    for name in (b"x-api-key", b"api-key"):
        if name in head.by_name:
            key = head.value(name)
            if key and key not in found:
                found.append(key)
    if not found and b"sec-websocket-protocol" in head.by_name:
        found.extend(_from_subprotocols(head.values(b"sec-websocket-protocol")))
    return found


def _from_subprotocols(value: bytes) -> list[bytes]:
    offers = [offer.strip() for offer in value.split(b",", _MAX_OFFERS)[:_MAX_OFFERS]]
    return [
        offer[len(prefix) :] for offer in offers for prefix in CREDENTIAL_PROTOCOLS if offer.lower().startswith(prefix)
    ]


def _session(value: bytes, bound: str | None) -> str:
    text = value.decode("utf-8", "replace")
    if not text:
        raise refuse(400, "session_missing", _NO_SESSION)
    if len(text) > _MAX_SESSION or not text.isprintable():
        raise refuse(
            400, "session_malformed", "Room Proxy: Meshagent-Session must be at most 200 printable characters."
        )
    if bound is not None and text != bound:
        raise refuse(
            403,
            "wrong_session",
            f"Room Proxy: this token is for the session '{bound}' only, and Meshagent-Session is '{text}'. "
            "Send that session, or get a token of your own: meshproxy token get --room ROOM",
        )
    return text


def agent_name(user_agent: bytes) -> str:
    """Return the product name that a User-Agent begins with: "codex_exec", "claude-cli", "OpenAI", …"""
    words = user_agent[:200].decode("latin-1").translate(_AGENT_STOPS).split(maxsplit=1)
    return words[0] if words else ""
