"""Heads on their way."""

import pytest

from meshproxy_cli.proxy.config.targets import make_target
from meshproxy_cli.proxy.http1.head import AnswerHead, RequestHead, read_answer_head, read_request_head
from meshproxy_cli.proxy.request.forwarded_headers import (
    answer_head,
    request_head,
    returned_trailers,
    switch_head,
    trailer_lines,
    upgrade_lines,
)

TARGET = make_target("openai", "https://api.example/v1", ("authorization", "Bearer provider-key"), {"x-team": "ours"})


def request(*fields: str, target: str = "/rooms/r/openai/v1/responses") -> RequestHead:
    return read_request_head("\r\n".join([f"POST {target} HTTP/1.1", "Host: proxy", *fields, "", ""]).encode("latin-1"))


def answered(*fields: str, status: str = "200 OK") -> AnswerHead:
    return read_answer_head("\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1"))


def sent(*fields: str, target: str = "/rooms/r/openai/v1/responses") -> list[str]:
    whole = request_head(request(*fields, target=target), TARGET, b"/v1/responses") + b"\r\n"
    return whole.decode("latin-1").split("\r\n")


@pytest.mark.parametrize(
    "field",
    [
        "Authorization: Bearer token", "AUTHORIZATION: Bearer token", "X-Api-Key: token", "API-KEY: token",
        "X-Goog-Api-Key: token", "Proxy-Authorization: Basic token", "Cookie: a=token", "Meshagent-Session: token",
        "meshagent-anything: token", "Meshproxy-Request-Id: token", "X-Meshagent-Annotation-A: token",
        "Forwarded: for=token", "X-Forwarded-For: token", "X-Forwarded-Whatever: token", "X-Real-IP: token",
        "Keep-Alive: token", "TE: token", "Proxy-Connection: token", "Expect: token", "X-Team: token",
        "Sec-WebSocket-Protocol: bearer.token", "Sec-WebSocket-Extensions: token", "HTTP2-Settings: token",
    ],
)  # fmt: skip
def test_what_never_goes_up(field: str) -> None:
    assert "token" not in "\n".join(sent(field))


@pytest.mark.parametrize(
    "field",
    [
        "anthropic-beta: a,b", "anthropic-version: 2023-06-01", "OpenAI-Beta: x", "openai-organization: o",
        "Idempotency-Key: 1", "Accept:  text/event-stream", "User-Agent: codex_exec/0.1", "X-Unknown: \xe4\xff",
        "x-codex-turn-state: opaque", "Content-Type: application/json", "Accept-Encoding: br", "originator: codex",
        "x-stainless-lang: python", "Content-Encoding: zstd", "X-Empty:",
    ],
)  # fmt: skip
def test_what_goes_up_as_it_came(field: str) -> None:
    assert field in sent(field)


def test_order_case_and_repeats_are_kept() -> None:
    fields = ["X-B: 1", "x-a: 2", "anthropic-beta: a", "Anthropic-Beta: b"]
    assert sent(*fields)[-6:-2] == fields


def test_exactly_one_credential_and_host_go_up() -> None:
    head = sent("Authorization: Bearer token", "x-api-key: token")
    assert head[0] == "POST /v1/responses HTTP/1.1"
    assert [line for line in head if line.lower().startswith(("authorization", "x-api-key"))] == [
        "authorization: Bearer provider-key"
    ]
    assert [line for line in head if line.lower().startswith("host")] == ["host: api.example"]
    assert "x-team: ours" in head


def test_what_connection_names_stays_here() -> None:
    head = "\n".join(sent("Connection: keep-alive, X-Secret", "x-secret: 1", "x-other: 2")).lower()
    assert "x-secret" not in head
    assert "x-other: 2" in head


def test_connection_cannot_take_away_what_is_ours() -> None:
    assert "authorization: Bearer provider-key" in sent("Connection: authorization, host, content-length")


def test_the_query_goes_up_as_it_came() -> None:
    assert sent(target="/rooms/r/openai/v1/responses?beta=true&x=%2F..%2f")[0] == (
        "POST /v1/responses?beta=true&x=%2F..%2f HTTP/1.1"
    )


def test_a_credential_in_a_trailer_is_dropped() -> None:
    lines = [b"Authorization: Bearer token", b"x-checksum: 1", b"Content-Length: 5", b"Meshagent-Session: s"]
    assert trailer_lines(lines) == b"x-checksum: 1\r\n"


@pytest.mark.parametrize(
    "field",
    ["retry-after: 3", "x-should-retry: false", "X-Request-Id: r", "anthropic-ratelimit-requests-remaining: 1",
     "x-codex-turn-state: opaque", "Content-Encoding: gzip", "X-Unknown: \xe4"],
)  # fmt: skip
def test_what_comes_back(field: str) -> None:
    head = answer_head(answered(field, "Content-Length: 0", status="429 Slow Down"), b"req_1", b"", close=False)
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0] == "HTTP/1.1 429 Slow Down"
    assert field in lines
    assert "meshproxy-request-id: req_1" in lines


@pytest.mark.parametrize(
    "field",
    ["Set-Cookie: a=secret", "set-cookie2: secret", "Connection: secret", "Keep-Alive: secret", "Alt-Svc: secret",
     "Proxy-Authenticate: secret", "Upgrade: secret", "Meshproxy-Request-Id: secret"],
)  # fmt: skip
def test_what_does_not_come_back(field: str) -> None:
    assert b"secret" not in answer_head(answered(field), b"req_1", b"", close=False)


def test_what_does_not_come_back_in_a_trailer() -> None:
    assert (
        returned_trailers([b"x-sum: 1", b"Set-Cookie: a", b"connection: x", b"X-Sum: 2"]) == b"x-sum: 1\r\nX-Sum: 2\r\n"
    )
    assert returned_trailers([]) == b""


def test_framing_is_ours_alone() -> None:
    head = answer_head(answered("Content-Length: 5"), b"req_1", b"transfer-encoding: chunked\r\n", close=True)
    assert head.lower().count(b"content-length") == 0
    assert head.endswith(b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")


def test_what_an_answers_connection_names_stays_here() -> None:
    assert b"x-hop" not in answer_head(answered("Connection: X-Hop", "x-hop: 1"), b"req_1", b"", close=False)


def test_a_websocket_is_asked_for_without_extensions_and_credentials() -> None:
    offers = "realtime, openai-insecure-api-key.token, Bearer.token, meshagent-token.token, openai-beta.realtime-v1"
    lines = upgrade_lines(request(f"Sec-WebSocket-Protocol: {offers}", "Upgrade: websocket"))
    assert lines == (
        b"connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-protocol: realtime, openai-beta.realtime-v1\r\n"
    )
    only = upgrade_lines(request("Sec-WebSocket-Protocol: bearer.token"))
    assert only == b"connection: Upgrade\r\nupgrade: websocket\r\n"


def test_a_switch_of_protocols_is_passed_on() -> None:
    head = switch_head(
        answered("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x", status="101 Switching"),
        b"req_1",
    )
    assert head.startswith(b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\n")
    assert head.lower().count(b"upgrade: websocket") == 1
