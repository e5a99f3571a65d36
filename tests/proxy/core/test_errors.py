"""Our own answers, in the form that their readers take."""

import json

import pytest

from meshproxy_cli.proxy.core.errors import (
    Agent,
    ClientProfile,
    ProxyError,
    client_profile,
    error_event,
    profile_for_unknown_path,
    render,
)
from meshproxy_cli.proxy.core.routes import ProviderRoute, match
from meshproxy_cli.proxy.http1.head import read_request_head

NO = ProxyError(status=403, code="wrong_room", message="Not \u00e4 this\nroom")


def parts(data: bytes) -> tuple[bytes, bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head
    return head, body


def test_openais_form() -> None:
    status, data = render(NO, ClientProfile(protocol="openai"), "req_1")
    head, body = parts(data)
    assert status == 403
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"x-should-retry: false" in head
    assert b"meshproxy-request-id: req_1" in head
    error = {"message": NO.message, "type": "permission_error", "param": None, "code": "wrong_room"}
    assert json.loads(body) == {"error": error}


def test_anthropics_form() -> None:
    body = parts(render(NO, ClientProfile(protocol="anthropic"), "req_1")[1])[1]
    error = {"type": "permission_error", "message": NO.message}
    assert json.loads(body) == {"type": "error", "error": error, "request_id": "req_1"}


@pytest.mark.parametrize("refusal", [
    ProxyError(status=503, code="x", message="m", retry=True),
    ProxyError(status=401, code="token_expired", message="m", new_token=True),
])  # fmt: skip
def test_what_may_work_in_a_moment_may_be_tried_again(refusal: ProxyError) -> None:
    head = render(refusal, ClientProfile(protocol="anthropic"), "req_1", close=True)[1]
    assert b"x-should-retry" not in head
    assert b"connection: close" in head
    assert (b"www-authenticate: Bearer" in head) is (refusal.status == 401)


def test_codex_gets_a_stream_that_fails_at_once() -> None:
    reader = ClientProfile(protocol="openai", agent=Agent.CODEX, response_stream=True)
    status, data = render(NO, reader, "req_1")
    head, body = parts(data)
    assert status == 200
    assert b"content-type: text/event-stream" in head
    event = json.loads(body.removeprefix(b"event: response.failed\ndata: "))
    assert event["response"]["error"] == {"code": "invalid_prompt", "message": NO.message}
    fresh = ProxyError(status=401, code="token_expired", message="m", new_token=True)
    assert render(fresh, reader, "req_1")[0] == 401


@pytest.mark.parametrize(
    ("status", "sent"),
    [(400, 409), (401, 409), (402, 402), (403, 409), (404, 409), (413, 409), (415, 409), (429, 429), (502, 502)],
)
def test_claude_code_shows_the_message_after_one_try(status: int, sent: int) -> None:
    refusal = ProxyError(status=status, code="x", message="what to do")
    answered, data = render(refusal, ClientProfile(protocol="anthropic", agent=Agent.CLAUDE), "req_1")
    head, body = parts(data)
    assert answered == sent
    assert head.startswith(f"HTTP/1.1 {sent} ".encode())
    assert b"x-should-retry: false" in head
    assert b"www-authenticate" not in head
    assert json.loads(body)["error"]["message"] == "what to do"
    for other in (
        ClientProfile(protocol="anthropic"),
        ClientProfile(protocol="anthropic", agent=Agent.CLAUDE, method=b"GET"),
    ):
        assert render(refusal, other, "req_1")[0] == status


@pytest.mark.parametrize("retry", [False, True])
def test_claude_code_fetches_a_new_token_and_tries_again_where_that_may_help(retry: bool) -> None:  # noqa: FBT001
    refusal = ProxyError(status=401, code="x", message="m", new_token=not retry, retry=retry)
    status, data = render(refusal, ClientProfile(protocol="anthropic", agent=Agent.CLAUDE), "req_1")
    assert status == 401
    assert b"x-should-retry" not in data


def test_codex_asks_over_http_at_once_where_its_websocket_is_refused() -> None:
    reader = ClientProfile(protocol="openai", agent=Agent.CODEX, websocket=True, method=b"GET")
    status, data = render(NO, reader, "req_1")
    assert (status, data.count(b"\r\nupgrade: websocket\r\n")) == (426, 1)
    already = ProxyError(status=426, code="x", message="m", headers=(("upgrade", "websocket"),))
    assert render(already, reader, "req_1")[1].count(b"\r\nupgrade: websocket\r\n") == 1
    assert render(ProxyError(status=401, code="x", message="m", new_token=True), reader, "req_1")[0] == 401
    assert render(NO, ClientProfile(protocol="openai", websocket=True, method=b"GET"), "req_1")[0] == 403


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("POST /rooms/r/v1/wrong/responses", (Agent.CODEX, True)),
        ("POST /rooms/r/v1/wrong", (Agent.CODEX, False)),
        ("GET /rooms/r/openai/v2/responses?a=/responses", (Agent.CODEX, False)),
    ],
)
def test_a_reader_at_a_path_that_is_not_offered(line: str, expected: tuple[Agent, bool]) -> None:
    fields = "Host: h\r\nUser-Agent: codex_exec/0.169\r\nAccept: text/event-stream\r\n\r\n"
    reader = profile_for_unknown_path(read_request_head(f"{line} HTTP/1.1\r\n{fields}".encode()), "openai")
    assert (reader.agent, reader.response_stream) == expected


def test_head_gets_no_body() -> None:
    data = render(NO, ClientProfile(protocol="openai", method=b"HEAD"), "req_1")[1]
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
    reader = client_profile(head, route, stream=stream)
    assert (reader.agent, reader.response_stream) == expected


def test_events_that_end_a_stream() -> None:
    late = ProxyError(status=504, code="provider_stalled", message="m")
    anthropic = error_event(late, "anthropic", "/v1/messages")
    assert anthropic == b'event: error\ndata: {"type": "error", "error": {"type": "timeout_error", "message": "m"}}\n\n'
    assert error_event(late, "openai", "/v1/responses").startswith(b'event: error\ndata: {"type": "error"')
    chat = json.loads(error_event(late, "openai", "/v1/chat/completions").removeprefix(b"data: "))
    assert chat["error"]["message"] == "m"
