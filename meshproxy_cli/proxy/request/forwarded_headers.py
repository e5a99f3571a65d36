"""Heads on their way: what is never forwarded, what is put in its place, and what the client gets back."""

import re

from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.http1.head import AnswerHead, Head, RequestHead

HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"transfer-encoding", b"upgrade", b"http2-settings",
})  # fmt: skip
CREDENTIALS = frozenset({
    b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"cookie2", b"x-auth-token",
    b"x-amz-security-token",
})  # fmt: skip
_NOT_FORWARDED = HOP_BY_HOP | CREDENTIALS | {
    b"host", b"content-length", b"expect", b"forwarded", b"x-real-ip", b"sec-websocket-protocol",
    b"sec-websocket-extensions",
}  # fmt: skip
_NOT_FORWARDED_PREFIXES = (b"meshagent-", b"meshproxy-", b"x-meshagent-", b"x-forwarded-")
# Alt-Svc would lead a client around the proxy, to the provider itself.
_KEPT_HERE = HOP_BY_HOP | {b"set-cookie", b"set-cookie2", b"content-length", b"alt-svc", b"meshproxy-request-id"}
_NOT_RETURNED = re.compile(
    rb"^(?:" + b"|".join(map(re.escape, sorted(_KEPT_HERE))) + rb"):.*\n", re.IGNORECASE | re.MULTILINE
)
_USUAL_OPTIONS = HOP_BY_HOP | {b"close"}  # what a Connection header names beyond them is dropped as well
# Websocket subprotocols that carry a credential, since browsers can set no header.
CREDENTIAL_PROTOCOLS = (b"openai-insecure-api-key.", b"bearer.", b"meshagent-token.")
_DECIDED_SIZE = 4096
_decided: dict[bytes, bool] = {}


def _forwarded(name: bytes) -> bool:
    """Whether a request's header of that lower-case name goes upstream; decisions are remembered."""
    known = _decided.get(name)
    if known is None:
        known = name not in _NOT_FORWARDED and not name.startswith(_NOT_FORWARDED_PREFIXES)
        if len(_decided) < _DECIDED_SIZE:
            _decided[name] = known
    return known


def _named_by_connection(head: Head) -> frozenset[bytes]:
    """Return the lower-case names that the Connection header declares to be hop-by-hop."""
    if b"connection" not in head.by_name:
        return frozenset()
    return frozenset(_listed(head.values(b"connection")))


def request_lines(head: RequestHead, target: Target, *, without: frozenset[bytes] = frozenset()) -> bytes:
    """Return the client's header lines that go upstream, each ended by CRLF; `without` are more names to drop."""
    dropped = _named_by_connection(head) | target.fixed_names | without
    decided = _decided.get
    kept = [
        line
        for name, line in zip(head.names, head.lines, strict=True)
        if (decided(name) or (name not in _decided and _forwarded(name))) and name not in dropped
    ]
    return b"\r\n".join(kept) + b"\r\n" if kept else b""


def request_head(head: RequestHead, target: Target, path: bytes, *, without: frozenset[bytes] = frozenset()) -> bytes:
    """Return the head that goes upstream, but for the header line that says where the body ends and the empty line."""
    _, mark, query = head.target.partition(b"?")
    lines = request_lines(head, target, without=without)
    return b"%b %b%b%b HTTP/1.1\r\n%b%b" % (head.method, target.url(path), mark, query, target.fixed, lines)


def trailer_lines(trailers: list[bytes]) -> bytes:
    """Return a request's trailer lines that go upstream, each ended by CRLF: a credential in one is dropped too."""
    return b"".join(line + b"\r\n" for line in trailers if _forwarded(_name(line)))


def returned_trailers(trailers: list[bytes]) -> bytes:
    """Return an answer's trailer lines that the client gets, each ended by CRLF."""
    if not trailers:
        return b""
    return b"".join(line + b"\r\n" for line in trailers if _name(line) not in _KEPT_HERE)


def answer_head(head: AnswerHead, request_id: bytes, framing: bytes, *, close: bool) -> bytes:
    """Return the head that the client gets. `framing` is the header line that says where the body ends, or nothing."""
    fields = _NOT_RETURNED.sub(b"", head.fields)
    if b"connection" in head.known and (named := set(_listed(head.known[b"connection"])) - _USUAL_OPTIONS):
        fields = b"".join(line for line in fields.splitlines(keepends=True) if _name(line) not in named)
    return b"HTTP/1.1 %d %b\r\n%bmeshproxy-request-id: %b\r\n%b%b\r\n" % (
        head.status, head.reason, fields, request_id, b"connection: close\r\n" if close else b"", framing,
    )  # fmt: skip


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _listed(value: bytes) -> list[bytes]:
    return [name.strip().lower() for name in value.split(b",")]


def upgrade_lines(head: RequestHead) -> bytes:
    """Return the header lines that ask for a websocket: without extensions, and without credentials as protocols."""
    offers = [offer.strip() for offer in head.values(b"sec-websocket-protocol").split(b",")]
    kept = [offer for offer in offers if offer and not offer.lower().startswith(CREDENTIAL_PROTOCOLS)]
    protocols = b"sec-websocket-protocol: " + b", ".join(kept) + b"\r\n" if kept else b""
    return b"connection: Upgrade\r\nupgrade: websocket\r\n" + protocols


def switch_head(head: AnswerHead, request_id: bytes) -> bytes:
    """Return the 101 that the client gets."""
    return answer_head(head, request_id, b"connection: Upgrade\r\nupgrade: websocket\r\n", close=False)
