"""Heads on their way: what is never forwarded, what is put in its place, and what the client gets back."""

import re

from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.core.header_rules import HOP_BY_HOP, answer_rule, fold, is_kept_from_provider, request_rule
from meshproxy_cli.proxy.http1.head import AnswerHead, Head, RequestHead

_USUAL_OPTIONS = HOP_BY_HOP | {b"close"}  # what a Connection header names beyond them is dropped as well
# Websocket subprotocols that carry a credential, since browsers can set no header.
CREDENTIAL_PROTOCOLS = (b"openai-insecure-api-key.", b"bearer.", b"meshagent-token.")

_UNAUTHORIZED = 401
_CHALLENGE = re.compile(rb"^www-authenticate:", re.IGNORECASE | re.MULTILINE)
_OUR_CHALLENGE = b'WWW-Authenticate: Bearer realm="meshproxy"\r\n'  # in the place of the provider's
_LONGEST_REASON = 100


def _named_by_connection(head: Head) -> frozenset[bytes]:
    """Return the lower-case names that the Connection header declares to be hop-by-hop."""
    if b"connection" not in head.by_name:
        return frozenset()
    return frozenset(request_rule(name)[1] for name in _listed(head.values(b"connection")))


def request_lines(head: RequestHead, target: Target, *, without: frozenset[bytes] = frozenset()) -> bytes:
    """Return the client's header lines that go upstream, each ended by CRLF; `without` are more names to drop."""
    return _sent_up(head.names, head.lines, target, _named_by_connection(head) | target.fixed_names | without)


def _sent_up(names: list[bytes], lines: list[bytes], target: Target, dropped: frozenset[bytes]) -> bytes:
    allowed, kept = target.forwarded, []
    for name, line in zip(names, lines, strict=True):
        stays, folded = request_rule(name)
        if folded not in dropped and (not stays or folded in allowed):
            kept.append(line)
    return b"\r\n".join(kept) + b"\r\n" if kept else b""


def request_head(head: RequestHead, target: Target, path: bytes, *, without: frozenset[bytes] = frozenset()) -> bytes:
    """Return the head that goes upstream, but for the header line that says where the body ends and the empty line."""
    _, mark, query = head.target.partition(b"?")
    lines = request_lines(head, target, without=without)
    return b"%b %b%b%b HTTP/1.1\r\n%b%b" % (head.method, target.url(path), mark, query, target.fixed, lines)


def trailer_lines(trailers: list[bytes], target: Target) -> bytes:
    """Return a request's trailer lines that go upstream, each ended by CRLF, by the rules of headers."""
    return _sent_up([_name(line) for line in trailers], trailers, target, target.fixed_names)


def returned_trailers(trailers: list[bytes]) -> bytes:
    """Return an answer's trailer lines that the client gets, each ended by CRLF, by the rules of headers."""
    return b"".join(line + b"\r\n" for line in trailers if not answer_rule(_name(line))[0])


def answer_head(head: AnswerHead, request_id: bytes, framing: bytes, *, close: bool) -> bytes:
    """Return the head that the client gets. `framing` is the header line that says where the body ends, or nothing."""
    named: frozenset[bytes] = frozenset()
    if b"connection" in head.known:
        named = frozenset(_listed(head.known[b"connection"])) - _USUAL_OPTIONS
    kept = []
    for line in head.fields.splitlines(keepends=True):
        name = _name(line)
        if not answer_rule(name)[0] and name not in named:
            kept.append(line)
    if head.status == _UNAUTHORIZED and _CHALLENGE.search(head.fields):
        kept.append(_OUR_CHALLENGE)
    fields = b"".join(kept)
    reason = head.reason[:_LONGEST_REASON]
    return b"HTTP/1.1 %d %b\r\n%bmeshproxy-request-id: %b\r\n%b%b\r\n" % (
        head.status, reason, fields, request_id, b"connection: close\r\n" if close else b"", framing,
    )  # fmt: skip


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _listed(value: bytes) -> list[bytes]:
    return [name.strip().lower() for name in value.split(b",")]


def upgrade_lines(head: RequestHead) -> bytes:
    """Return the header lines that ask for a websocket: without extensions, and without credentials as protocols."""
    offers = [offer.strip() for offer in head.values(b"sec-websocket-protocol").split(b",")]
    kept = [offer for offer in offers if offer and not _is_kept_protocol(offer)]
    protocols = b"sec-websocket-protocol: " + b", ".join(kept) + b"\r\n" if kept else b""
    return b"connection: Upgrade\r\nupgrade: websocket\r\n" + protocols


def _is_kept_protocol(offer: bytes) -> bool:
    """Whether an offered subprotocol stands for a header that stays with the proxy, as `openai-project.NAME` does."""
    return offer.lower().startswith(CREDENTIAL_PROTOCOLS) or is_kept_from_provider(fold(offer.decode("latin-1")))


def switch_head(head: AnswerHead, request_id: bytes) -> bytes:
    """Return the 101 that the client gets."""
    return answer_head(head, request_id, b"connection: Upgrade\r\nupgrade: websocket\r\n", close=False)
