"""The recording provider's HTTP: which request gets which answer, and what may go wrong on the way."""

import json
import select
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from e2e import wire
from e2e.recording import (
    ANTHROPIC_KEY,
    ANTHROPIC_MODELS,
    OPENAI_KEY,
    OPENAI_MODELS,
    Behavior,
    Recorded,
    Recording,
    prompt_of,
)
from e2e.websocket import serve_websocket
from e2e.wire import Reported


@dataclass(frozen=True)
class _Plan:
    """One model request and the answer that it is going to get."""

    recorded: Recorded
    body: dict[str, Any]
    behavior: Behavior
    numbers: Reported
    text: str

    @property
    def model(self) -> str:
        return self.numbers.model

    @property
    def streamed(self) -> bool:
        return bool(self.body.get("stream"))


class ProviderServer(ThreadingHTTPServer):
    """Listens, and breaks what is open when it closes."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], recording: Recording) -> None:
        self.recording = recording
        self.connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a client that goes away go: tests look at `client_left` where it matters."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ProviderServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        """Stay silent."""

    def do_GET(self) -> None:
        if (self.headers.get("Upgrade") or "").lower() == "websocket":
            self._websocket()
        else:
            self._serve()

    def do_POST(self) -> None:
        self._serve()

    do_HEAD = do_DELETE = do_PUT = do_PATCH = do_POST  # noqa: N815 (names of http.server)

    def _recorded(self, body: bytes = b"") -> Recorded:
        recorded = Recorded(self.command, self.path, tuple(self.headers.items()), body)
        self.server.recording.record(recorded)
        return recorded

    def _websocket(self) -> None:
        self.close_connection = True
        recorded = self._recorded()
        if not self._is_authorised("openai"):
            return self._refuse("openai", 401, "invalid_api_key", "Incorrect API key provided.")
        head = f"{self.requestline}\r\n".encode() + bytes(str(self.headers), "latin-1").replace(b"\n", b"\r\n")
        return serve_websocket(self.connection, head, recorded.messages, self._turn)

    def _turn(self, message: dict[str, Any]) -> Iterator[wire.Event]:
        """Answer one websocket message with the events of a response."""
        provider, behavior = self.server.recording, self.server.recording.take_behaviour()
        model = behavior.served_model or message.get("model", "")
        if message.get("generate") is False:
            begun = wire.responses_body(Reported(endpoint="", model=model, input_tokens=0), "", model)
            yield {"type": "response.created", "response": begun | {"status": "in_progress", "output": []}}
            yield {"type": "response.completed", "response": begun | {"output": []}}
            return
        numbers = provider.numbers("/v1/responses", model, behavior)
        text = behavior.text or f"The provider heard: {prompt_of(message)}"
        yield from wire.responses_stream(numbers, text, model)
        provider.report(numbers)

    def _is_authorised(self, protocol: str) -> bool:
        """Whether exactly one credential came, and it is ours; Anthropic's newer SDKs send a bearer there too."""
        key = ANTHROPIC_KEY if protocol == "anthropic" else OPENAI_KEY
        credentials = [self.headers[name] for name in ("Authorization", "x-api-key") if name in self.headers]
        return credentials in ([f"Bearer {key}"], [key])

    def _serve(self) -> None:
        recorded = self._recorded(self._body())
        asks_anthropic = "anthropic-version" in self.headers and recorded.path.startswith("/v1/models")
        anthropic = asks_anthropic or recorded.path.startswith("/v1/messages")
        protocol = "anthropic" if anthropic else "openai"
        if recorded.path == "/" or self.command == "HEAD":
            return self._answer(200, b"", "text/plain")
        if not self._is_authorised(protocol):
            code = "authentication_error" if anthropic else "invalid_api_key"
            return self._refuse(protocol, 401, code, "the provider does not know this key")
        if self.command == "GET" and recorded.path == "/v1/models":
            models = wire.anthropic_models(ANTHROPIC_MODELS) if anthropic else wire.openai_models(OPENAI_MODELS)
            return self._json(models | ({"models": []} if "client_version" in recorded.query else {}))
        answer = {
            "/v1/responses": self._responses,
            "/v1/responses/compact": self._responses,
            "/v1/chat/completions": self._chat,
            "/v1/embeddings": self._embeddings,
            "/v1/messages": self._messages,
            "/v1/messages/count_tokens": self._count_tokens,
        }.get(recorded.path)
        if answer is None or self.command != "POST":
            return self._refuse(protocol, 404, "not_found_error", f"no such path: {recorded.path}")
        behavior = self.server.recording.take_behaviour()
        if behavior.status != 200:
            body = wire.error_body(protocol, behavior.status, behavior.error_code, behavior.error_message)
            return self._answer(behavior.status, json.dumps(body).encode(), "application/json", behavior.headers)
        return answer(self._plan(recorded, behavior))

    def _responses(self, plan: _Plan) -> None:
        if not plan.streamed:
            return self._json(wire.responses_body(plan.numbers, plan.text, plan.model), plan.numbers)
        failure = wire.responses_failure(plan.behavior.error_code, plan.behavior.error_message)
        return self._stream(plan, wire.responses_stream(plan.numbers, plan.text, plan.model), failure)

    def _chat(self, plan: _Plan) -> None:
        if not plan.streamed:
            return self._json(wire.chat_body(plan.numbers, plan.text, plan.model), plan.numbers)
        asked = bool((plan.body.get("stream_options") or {}).get("include_usage"))
        events = wire.chat_stream(plan.numbers, plan.text, plan.model, with_usage=asked)
        failure = wire.error_body("openai", 500, plan.behavior.error_code, plan.behavior.error_message)
        return self._stream(plan, events, failure, reports=asked, end=b"data: [DONE]\n\n")

    def _embeddings(self, plan: _Plan) -> None:
        numbers = replace(plan.numbers, cached_input_tokens=0, output_tokens=0, reasoning_tokens=0)
        packed = plan.body.get("encoding_format") == "base64"
        self._json(wire.embeddings_body(numbers, plan.model, as_base64=packed), numbers)

    def _messages(self, plan: _Plan) -> None:
        if not plan.streamed:
            return self._json(wire.messages_body(plan.numbers, plan.text, plan.model), plan.numbers)
        failure = wire.error_body("anthropic", 529, plan.behavior.error_code, plan.behavior.error_message)
        return self._stream(plan, wire.messages_stream(plan.numbers, plan.text, plan.model), failure)

    def _count_tokens(self, plan: _Plan) -> None:
        self._json({"input_tokens": len(plan.recorded.body) // 4})

    def _plan(self, recorded: Recorded, behavior: Behavior) -> _Plan:
        body = recorded.json()
        model = behavior.served_model or str(body.get("model", ""))
        numbers = self.server.recording.numbers(recorded.path, model, behavior)
        return _Plan(recorded, body, behavior, numbers, behavior.text or f"The provider heard: {prompt_of(body)}")

    def _stream(
        self, plan: _Plan, events: list[wire.Event], failure: wire.Event, *, reports: bool = True, end: bytes = b""
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self._own_headers(plan.behavior.headers)
        for number, event in enumerate(events):
            if number == plan.behavior.closes_after:
                self.close_connection = True
                return
            if number == plan.behavior.fails_after:
                self._chunk(wire.sse(failure))
                self._chunk(b"")
                return
            if not self._paced(plan, number) or not self._try_chunk(plan.recorded, wire.sse(event)):
                return
        if reports:
            self.server.recording.report(plan.numbers)
        if end:
            self._chunk(end)
        self._chunk(b"")

    def _paced(self, plan: _Plan, number: int) -> bool:
        """Wait as long as the behavior says; False once the client has left."""
        if number == plan.behavior.stalls_after and self._stall(plan.recorded):
            return False
        return not (plan.behavior.delay and self.server.recording.release.wait(plan.behavior.delay))

    def _try_chunk(self, recorded: Recorded, data: bytes) -> bool:
        try:
            self._chunk(data)
        except OSError:
            recorded.client_left.set()
            self.close_connection = True
            return False
        return True

    def _stall(self, recorded: Recorded) -> bool:
        """Wait until the client leaves (then say so) or the test releases us."""
        while not self.server.recording.release.wait(0.02):
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and self._has_left():
                recorded.client_left.set()
                self.close_connection = True
                return True
        return False

    def _has_left(self) -> bool:
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:  # it left with part of the answer unread
            return True

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _json(self, body: wire.Event, numbers: Reported | None = None) -> None:
        if numbers is not None:
            self.server.recording.report(numbers)
        self._answer(200, json.dumps(body).encode(), "application/json")

    def _refuse(self, protocol: str, status: int, code: str, message: str) -> None:
        self._answer(status, json.dumps(wire.error_body(protocol, status, code, message)).encode(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self._own_headers(headers or {})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _own_headers(self, headers: dict[str, str]) -> None:
        for name, value in {"x-request-id": f"req_{len(self.server.recording.requests)}", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)
