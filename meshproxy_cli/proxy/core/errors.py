"""Our own answers: errors in the shape of the provider whose endpoint was called, made to be read at the agents.

What the agents do with an answer was tried with the real programs.

- Codex, streaming from `/v1/responses`, shows a message at once only when it comes as a failed stream with the code
  `invalid_prompt`; it retries every 401 to 404 for seconds. It tries a websocket again for as long whatever the status,
  but for 426: then it asks over HTTP at once.
- Claude Code retries 401 and 403 for minutes in silence as long as a helper gives it a token, whatever the headers say;
  400 and 422 six times, with parts of the request left out; of 404 and 413 it hides the message. It shows the message
  of a 409 after one try, likewise of 429 and 5xx, where `x-should-retry: false` is set.
- The official SDKs honor that header too. Both agents fetch a new token on 401 alone.
"""

import enum
import json
from dataclasses import dataclass, field
from http import HTTPStatus

from meshproxy_cli.proxy.core.routes import Protocol, ProviderRoute
from meshproxy_cli.proxy.http1.head import RequestHead


class Agent(enum.Enum):
    """Which client reads a refusal, as far as it matters for the form."""

    CODEX = enum.auto()
    CLAUDE = enum.auto()
    OTHER = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyError:
    """Why the proxy does not pass a request on: `message` says to a person what happened and what to do.

    `retry`: the same request may work in a moment. `new_token`: it may work with a fresh token. `headers` go out too.
    """

    status: int
    code: str
    message: str
    retry: bool = False
    new_token: bool = False
    headers: tuple[tuple[str, str], ...] = field(default=())


class RefusedError(Exception):
    """Carries a `ProxyError` out of a stage."""

    def __init__(self, refusal: ProxyError) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal

    def __reduce__(self) -> tuple[type["RefusedError"], tuple[object, ...]]:
        """Say how it is passed on to another process."""
        return RefusedError, (self.refusal,)


class UnknownIdError(RefusedError):
    """The refusal of ids that this machine has not seen; another one may have."""

    def __init__(self, refusal: ProxyError, idents: tuple[str, ...]) -> None:
        super().__init__(refusal)
        self.idents = idents

    def __reduce__(self) -> tuple[type["UnknownIdError"], tuple[object, ...]]:
        """Say how it is passed on to another process."""
        return UnknownIdError, (self.refusal, self.idents)


def refuse(status: int, code: str, message: str, *, retry: bool = False, new_token: bool = False) -> RefusedError:
    """Return the exception with which a stage refuses."""
    return RefusedError(ProxyError(status=status, code=code, message=message, retry=retry, new_token=new_token))


def too_large(limit: int) -> ProxyError:
    """Return the refusal of a request, or a websocket's message, of more than `limit` bytes."""
    message = (
        f"Room Proxy: a request may have {round(limit / 2**20, 2):g} MiB at most. Take images or files out of the "
        "conversation, compact it, or ask the proxy's admin for a higher limit."
    )
    return ProxyError(status=413, code="request_too_large", message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientProfile:
    """Who reads the answer, and how it was asked for."""

    protocol: Protocol
    agent: Agent = Agent.OTHER
    response_stream: bool = False  # a stream of /v1/responses is expected
    websocket: bool = False
    method: bytes = b"POST"


def client_profile(head: RequestHead, route: ProviderRoute, *, stream: bool) -> ClientProfile:
    """Return who sent a request. `stream`: its body asks for one."""
    return _profile(head, route.protocol, responses=route.endpoint.path == "/v1/responses", stream=stream)


def profile_for_unknown_path(head: RequestHead, protocol: Protocol) -> ClientProfile:
    """Return who sent a request whose path is not offered: a base URL that is wrong in part is told from its end."""
    path = head.target.partition(b"?")[0]
    return _profile(head, protocol, responses=path.endswith(b"/responses"), stream=False)


def _profile(head: RequestHead, protocol: Protocol, *, responses: bool, stream: bool) -> ClientProfile:
    wants_stream = stream or b"event-stream" in head.value(b"accept")
    return ClientProfile(
        protocol=protocol,
        agent=_agent(head),
        response_stream=wants_stream and responses and head.method == b"POST",
        websocket=head.value(b"upgrade").lower() == b"websocket",
        method=head.method,
    )


def _agent(head: RequestHead) -> Agent:
    product = head.value(b"user-agent")[:32].lower()
    if product.startswith(b"codex") or head.value(b"originator")[:32].lower().startswith(b"codex"):
        return Agent.CODEX
    return Agent.CLAUDE if product.startswith((b"claude-cli", b"claude-code")) else Agent.OTHER


_REASONS = {status.value: status.phrase for status in HTTPStatus}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 503: "overloaded_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip
_OPENAI_TYPES = {
    401: "authentication_error", 403: "permission_error", 429: "rate_limit_error", 402: "billing_error",
}  # fmt: skip
_CLAUDE_HIDES = frozenset({400, 401, 403, 404, 413, 415, 422})


def reason_phrase(status: int) -> str:
    """Return the text beside a status."""
    return _REASONS.get(status, "Status")


def error_body(refusal: ProxyError, protocol: Protocol, request_id: str) -> bytes:
    """Return the error as the provider would write it."""
    if protocol == "anthropic":
        kind = "billing_error" if refusal.code == "budget_exceeded" else _kind(_ANTHROPIC_TYPES, refusal.status)
        error = {"type": kind, "message": refusal.message}
        return json.dumps({"type": "error", "error": error, "request_id": request_id}).encode()
    kind = _openai_type(refusal.status)
    return json.dumps(
        {"error": {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}}
    ).encode()


def _openai_type(status: int) -> str:
    return _OPENAI_TYPES.get(status, _kind({}, status))


def _kind(known: dict[int, str], status: int) -> str:
    fallback = "api_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return known.get(status, fallback)


def render(refusal: ProxyError, reader: ClientProfile, request_id: str, *, close: bool = False) -> tuple[int, bytes]:
    """Return the status sent and the whole answer, head and body, for whoever reads it."""
    if reader.agent is Agent.CODEX and reader.response_stream and not refusal.new_token:
        return HTTPStatus.OK, answer(
            HTTPStatus.OK, failed_stream(refusal, request_id), request_id, kind="text/event-stream", close=close
        )
    status = _status(refusal, reader)
    headers = list(refusal.headers)
    if not refusal.retry and not refusal.new_token:
        headers.append(("x-should-retry", "false"))
    if status == HTTPStatus.UNAUTHORIZED:
        headers.append(("www-authenticate", 'Bearer realm="meshproxy"'))
    if status == HTTPStatus.UPGRADE_REQUIRED != refusal.status:
        headers.append(("upgrade", "websocket"))
    body = error_body(refusal, reader.protocol, request_id)
    whole = answer(status, body, request_id, headers=headers, close=close, head_only=reader.method == b"HEAD")
    return status, whole


def _status(refusal: ProxyError, reader: ClientProfile) -> int:
    """Return the status with which this reader learns at once what is wrong (see the module)."""
    if refusal.new_token or refusal.retry:
        return refusal.status
    if reader.agent is Agent.CODEX and reader.websocket:
        return HTTPStatus.UPGRADE_REQUIRED
    if reader.agent is Agent.CLAUDE and reader.method == b"POST" and refusal.status in _CLAUDE_HIDES:
        return HTTPStatus.CONFLICT
    return refusal.status


#: Bytes of the largest head that an answer of ours has: load balancers take 8 KiB for a server's failure beyond it.
MAX_OWN_HEAD = 8 * 1024


def answer(
    status: int,
    body: bytes,
    request_id: str,
    *,
    kind: str = "application/json",
    headers: list[tuple[str, str]] | None = None,
    close: bool = False,
    head_only: bool = False,
) -> bytes:
    """Return an answer of our own with a known length."""
    lines = [
        f"HTTP/1.1 {status} {reason_phrase(status)}",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        f"meshproxy-request-id: {request_id}",
        *(f"{name}: {value}" for name, value in headers or ()),
    ]
    if close:
        lines.append("connection: close")
    head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    if len(head) > MAX_OWN_HEAD:
        raise ValueError("the head of an answer is too large")
    return head if head_only else head + body


def failed_stream(refusal: ProxyError, request_id: str) -> bytes:
    """Return the events of a Responses stream that fails at once with the message."""
    return b"event: response.failed\ndata: " + _failed_response(refusal, request_id) + b"\n\n"


def refused_turn(refusal: ProxyError, agent: Agent, request_id: str) -> bytes:
    """Return the message with which a turn on a websocket is refused."""
    if agent is Agent.CODEX and not refusal.new_token:
        return _failed_response(refusal, request_id)
    error = {"type": _openai_type(refusal.status), "code": refusal.code, "message": refusal.message, "param": None}
    return json.dumps({"type": "error", "status": refusal.status, "error": error}).encode()


def _failed_response(refusal: ProxyError, request_id: str) -> bytes:
    """Return the event upon which Codex shows the message at once (see the module on the code)."""
    error = {"code": "invalid_prompt", "message": refusal.message}
    response: dict[str, object] = {
        "id": f"resp_{request_id}",
        "object": "response",
        "status": "failed",
        "error": error,
        "output": [],
    }
    return json.dumps({"type": "response.failed", "sequence_number": 0, "response": response}).encode()


def error_event(refusal: ProxyError, protocol: Protocol, endpoint: str) -> bytes:
    """Return the event with which a stream that already runs is ended, as the provider would write it."""
    if protocol == "anthropic":
        kind = _kind(_ANTHROPIC_TYPES, refusal.status)
        whole = {"type": "error", "error": {"type": kind, "message": refusal.message}}
        return b"event: error\ndata: " + json.dumps(whole).encode() + b"\n\n"
    if endpoint == "/v1/responses":
        event: dict[str, object] = {"type": "error", "code": "server_error", "message": refusal.message, "param": None}
        return b"event: error\ndata: " + json.dumps(event).encode() + b"\n\n"
    error: dict[str, object] = {"message": refusal.message, "type": "server_error", "param": None, "code": refusal.code}
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
