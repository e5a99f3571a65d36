"""Our own answers, in the form that their readers take."""

import json

import pytest

from meshproxy_cli.proxy.guard import read_request_head
from meshproxy_cli.proxy.refusal import Agent, Reader, Refusal, error_event, reader_of, render
from meshproxy_cli.proxy.routes import ProviderRoute, match

NO = Refusal(status=403, code="wrong_room", message="Not \u00e4 this\nroom")


def parts(data: bytes) -> tuple[bytes, bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    return head, body


def test_openais_form() -> None:
    status, data = render(NO, Reader(protocol="openai"), "req_1")
    head, body = parts(data)
    assert status == 403
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"x-should-retry: false" in head
    assert b"meshproxy-request-id: req_1" in head
    error = {"message": NO.message, "type": "permission_error", "param": None, "code": "wrong_room"}
    assert json.loads(body) == {"error": error}


def test_anthropics_form() -> None:
    body = parts(render(NO, Reader(protocol="anthropic"), "req_1")[1])[1]
    error = {"type": "permission_error", "message": NO.message}
    assert json.loads(body) == {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize("refusal", [
    Refusal(status=503, code="x", message="m", retry=True),
    Refusal(status=401, code="token_expired", message="m", new_token=True),
])  # fmt: skip
def test_what_may_work_in_a_moment_may_be_tried_again(refusal: Refusal) -> None:
    head = render(refusal, Reader(protocol="anthropic"), "req_1", close=True)[1]
    assert b"x-should-retry" not in head
    assert b"connection: close" in head
    assert (b"www-authenticate: Bearer" in head) is (refusal.status == 401)


def test_codex_gets_a_stream_that_fails_at_once() -> None:
    reader = Reader(protocol="openai", agent=Agent.CODEX, response_stream=True)
    status, data = render(NO, reader, "req_1")
    head, body = parts(data)
    assert status == 200
    assert b"content-type: text/event-stream" in head
    event = json.loads(body.removeprefix(b"event: response.failed\ndata: "))
    assert event["response"]["error"] == {"code": "invalid_prompt", "message": NO.message}
    fresh = Refusal(status=401, code="token_expired", message="m", new_token=True)
    assert render(fresh, reader, "req_1")[0] == 401


def test_head_gets_no_body() -> None:
    data = render(NO, Reader(protocol="openai", method=b"HEAD"), "req_1")[1]
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("agent", "stream", "expected"),
    [
        ("codex_exec/0.145", True, (Agent.CODEX, True)),
        ("codex_exec/0.145", False, (Agent.CODEX, False)),
        ("claude-cli/2.1", True, (Agent.CLAUDE, True)),
        ("curl/8", True, (Agent.OTHER, True)),
    ],
)
def test_readers(agent: str, stream: bool, expected: tuple[Agent, bool]) -> None:  # noqa: FBT001 (pytest's parameter)
    head = read_request_head(f"POST / HTTP/1.1\r\nHost: h\r\nUser-Agent: {agent}\r\n\r\n".encode())
    route = match(b"POST", b"/openai/v1/responses")
    assert isinstance(route, ProviderRoute)
    reader = reader_of(head, route, stream=stream)
    assert (reader.agent, reader.response_stream) == expected


def test_events_that_end_a_stream() -> None:
    late = Refusal(status=504, code="provider_stalled", message="m")
    anthropic = error_event(late, "anthropic", "/v1/messages")
    assert anthropic == b'event: error\ndata: {"type": "error", "error": {"type": "timeout_error", "message": "m"}}\n\n'
    assert error_event(late, "openai", "/v1/responses").startswith(b'event: error\ndata: {"type": "error"')
    chat = json.loads(error_event(late, "openai", "/v1/chat/completions").removeprefix(b"data: "))
    assert chat["error"]["message"] == "m"
