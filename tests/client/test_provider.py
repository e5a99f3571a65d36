import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from meshproxy_cli.client.provider import ask_models
from meshproxy_cli.errors import CredentialError, UnavailableError


class Upstream(HTTPServer):
    """Answers each request with `answer`, and notes what was asked."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, b"")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Upstream

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_names_of_models_come_back(upstream: Upstream) -> None:
    upstream.answer = (200, {}, b'{"data": [{"id": "a"}, {"id": "b"}]}')
    answer = ask_models("openai", f"{upstream.url}/base/v1/", "k")
    assert answer.models == ("a", "b")
    assert answer.seconds > 0
    ask_models("anthropic", f"{upstream.url}/base", "k")
    assert upstream.asked == ["/base/v1/models", "/base/v1/models"]


def test_a_redirect_does_not_get_the_key(upstream: Upstream) -> None:
    upstream.answer = (302, {"Location": f"{upstream.url}/elsewhere"}, b"")
    with pytest.raises(UnavailableError, match="answered 302"):
        ask_models("openai", upstream.url, "k")
    assert upstream.asked == ["/models"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data": 5}', b'{"data": [5]}', b"\xff"])
def test_what_is_no_list_of_models_is_told(upstream: Upstream, body: bytes) -> None:
    upstream.answer = (200, {}, body)
    with pytest.raises(UnavailableError, match="did not answer with a list of models"):
        ask_models("openai", upstream.url, "k")


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (401, b'{"error": {"message": "wrong key"}}', CredentialError, "answered 401 Unauthorized: wrong key"),
        (403, b'{"error": "not you"}', CredentialError, "403 Forbidden: not you"),
        (404, b"<html>\n no </html>", UnavailableError, "404 Not Found: <html> no </html>"),
        (500, b"", UnavailableError, "answered 500 Internal Server Error$"),
    ],
)
def test_a_refusal_is_quoted(
    upstream: Upstream, status: int, body: bytes, error: type[Exception], message: str
) -> None:
    upstream.answer = (status, {}, body)
    with pytest.raises(error, match=message):
        ask_models("openai", upstream.url, "sk-1")


def test_a_quoted_key_is_taken_out(upstream: Upstream) -> None:
    upstream.answer = (401, {}, b'{"error": {"message": "sk-hunter2 is wrong"}}')
    with pytest.raises(CredentialError) as refusal:
        ask_models("openai", upstream.url, "sk-hunter2")
    assert "hunter2" not in refusal.value.message


def test_a_quoted_header_is_taken_out(upstream: Upstream) -> None:
    upstream.answer = (401, {}, b'{"error": {"message": "no Bearer sk-hunter2 here"}}')
    with pytest.raises(CredentialError, match="no Bearer … here"):
        ask_models("openai", upstream.url, "", {"authorization": "Bearer sk-hunter2"})


@pytest.mark.parametrize("key", ["two words", "new\nline", "ключ"])
def test_a_key_that_cannot_be_sent_is_told_and_not_sent(upstream: Upstream, key: str) -> None:
    with pytest.raises(CredentialError) as refusal:
        ask_models("openai", upstream.url, key)
    assert key not in refusal.value.message
    assert upstream.asked == []


def test_nobody_there_is_told() -> None:
    with pytest.raises(UnavailableError, match="can't be reached"):
        ask_models("openai", "http://127.0.0.1:1/v1", "k")
