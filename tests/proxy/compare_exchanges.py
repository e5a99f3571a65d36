"""Compares an exchange as it was meant with what arrived, both ways, and with what was written down."""

import asyncio
import json
from dataclasses import dataclass, field
from random import Random
from typing import Any

from meshproxy_cli.store.events import Outcome
from proxy.gateway_server import token
from proxy.generated_exchanges import Case
from proxy.wire import Message, name_of

ROOMS = {b"r": "r", b"team%2Fone": "team/one", b"r%C3%A4um%20chen": "r\u00e4um chen"}
CREDENTIALS = {"openai": b"authorization: Bearer provider-key-o", "anthropic": b"x-api-key: provider-key-a"}
FRAMING = {b"content-length", b"transfer-encoding"}
ASKS_PLAINLY = {b"accept-encoding", b"content-encoding"}  # dropped where the proxy asks for usage on its own
OURS = {b"meshproxy-request-id", b"connection", b"www-authenticate"}  # the only headers that an answer gets on its way


@dataclass
class Seen:
    """What was seen of one case, on both sides."""

    requests: list[Message] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)  # the provider waits for the client's going
    left: asyncio.Event = field(default_factory=asyncio.Event)  # and saw it
    answer: Message = field(default_factory=Message)


def answer_lines(case: Case) -> list[bytes]:
    """Return the header lines as the provider sends them."""
    closing = [b"Connection: close"] if case.provider_closes and case.number % 2 else []
    lines = case.answer.lines + case.kept_here + case.answer.framing_lines + closing
    return shuffled(case, lines)


def request_lines(case: Case) -> list[bytes]:
    """Return the header lines as the client sends them."""
    known = token(ROOMS[case.prefix.split(b"/")[2]]).encode()
    lines = [
        b"Host: room.proxy:80",
        b"Authorization: Bearer " + known,
        b"Meshagent-Session: case-%d" % case.number,
        b"X-Case: %d" % case.number,
        *case.request.lines,
        *(line.replace(b"%(token)b", known) for line in case.dropped),
        *case.request.framing_lines,
        *([b"Connection: close"] if case.asks_close else []),
        *([b"Expect: 100-continue"] if case.expects else []),
    ]
    return shuffled(case, lines)


def shuffled(case: Case, lines: list[bytes]) -> list[bytes]:
    return Random(case.number).sample(lines, len(lines))


def check(case: Case, seen: Seen, events: list[Any], port: int) -> None:
    """Compare what was sent with what arrived, both ways, and with what was written down."""
    tries = {"half request": {0}, "provider in head": {1, 2}}.get(case.broken, {1})
    assert len(seen.requests) in tries
    for request in seen.requests:
        check_request(case, request, port)
    if case.broken == "half request":
        assert (events, seen.answer.start) == ([], b"")
        return
    assert len(events) == 1
    (event,) = events
    if case.broken == "provider in head":
        assert seen.answer.whole
        assert seen.answer.status == 502 or b"response.failed" in seen.answer.body
        assert event.outcome is Outcome.UNREACHABLE
        return
    if case.broken == "client before":
        assert (event.outcome, seen.answer.start) == (Outcome.CLIENT_CLOSED, b"")
        return
    if case.broken and not seen.answer.start:  # nothing was read before the client left, or before a reset
        assert (event.outcome is Outcome.CLIENT_CLOSED) is (case.broken == "client in body")
        assert seen.answer.reset or case.broken == "client in body"
        return
    check_answer(case, seen.answer)
    assert event.status == int(case.status[:3])
    if case.broken == "client in body":
        assert event.outcome is Outcome.CLIENT_CLOSED
    elif case.broken:
        assert event.outcome is Outcome.PROVIDER_CLOSED
    else:
        assert event.outcome is (Outcome.OK if event.status < 400 else Outcome.PROVIDER_ERROR)
        if case.tokens and event.status == 200:
            assert (event.tokens.input_tokens, event.tokens.output_tokens, event.estimated) == (*case.tokens, False)


def check_request(case: Case, request: Message, port: int) -> None:
    """Compare what the provider got with what the client sent."""
    base = b"/some/base" if case.endpoint.protocol == "openai" else b""
    assert request.start == b"%b %b HTTP/1.1" % (case.endpoint.method, base + case.endpoint.path + case.query)
    fixed = [b"host: 127.0.0.1:%d" % port, CREDENTIALS[case.endpoint.protocol]]
    mine = {b"X-Case: %d" % case.number, *case.request.lines}
    sent = [line for line in request_lines(case) if line in mine]
    if case.hides:
        sent = [line for line in sent if name_of(line) not in ASKS_PLAINLY]
        assert json.loads(request.body) == json.loads(case.hides) | {"stream_options": {"include_usage": True}}
    assert [line for line in request.lines if name_of(line) not in FRAMING] == [*fixed, *sent]
    assert case.hides or bytes(request.body) == case.request.body
    assert request.trailers == case.request.trailers


def check_answer(case: Case, answer: Message) -> None:
    """Compare what the client got with what the provider sent."""
    assert answer.start == b"HTTP/1.1 " + (case.status if case.status[3:] else case.status + b" ")
    kept = [line for line in answer_lines(case) if line in case.answer.lines]
    assert [line for line in answer.lines if name_of(line) not in FRAMING | OURS] == kept
    assert len(answer.values(b"meshproxy-request-id")) == 1
    if case.status[:3] == b"204":
        assert not FRAMING & {name_of(line) for line in answer.lines}
    elif case.answer.framing == "length" and not case.filtered:
        assert answer.values(b"content-length") == [b"%d" % len(case.answer.body)]
    if case.broken:
        check_prefix(case, answer)
        return
    assert answer.whole
    assert bytes(answer.body) == (b"" if case.bodyless else arriving(case))
    if case.version == b"1.1" and not case.bodyless and not case.filtered:
        assert answer.trailers == case.answer.trailers


def arriving(case: Case) -> bytes:
    """Return the body that is for the client."""
    return case.answer.body if case.arrives is None else case.arrives


def check_prefix(case: Case, answer: Message) -> None:
    """Compare an answer that broke off: nobody may take it for whole, and nothing else came than what was sent."""
    left_until_close = case.broken == "client in body" and (case.answer.framing == "close" or case.version == b"1.0")
    assert not answer.whole or left_until_close
    got, sent = bytes(answer.body), arriving(case)
    common = next((place for place, pair in enumerate(zip(got, sent, strict=False)) if pair[0] != pair[1]), len(sent))
    rest = got[common:]
    assert not rest or (case.streamed and case.broken == "provider in body" and b"broke off" in rest)
