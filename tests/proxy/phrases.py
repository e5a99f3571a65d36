"""What requests and answers are made of: endpoints, headers, statuses, codings, streams of events."""

import gzip
import json
import zlib
from dataclasses import dataclass

import brotli
import zstandard


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path of a provider: `sends` says what a request holds, `streams` whether the answer may be events."""

    protocol: str
    method: bytes
    path: bytes
    sends: str = "json"
    streams: bool = False


ENDPOINTS = (
    Endpoint("openai", b"POST", b"/v1/responses", streams=True),
    Endpoint("openai", b"POST", b"/v1/responses", streams=True),
    Endpoint("openai", b"POST", b"/v1/chat/completions", streams=True),
    Endpoint("openai", b"POST", b"/v1/chat/completions", streams=True),
    Endpoint("openai", b"POST", b"/v1/responses/compact"),
    Endpoint("openai", b"POST", b"/v1/responses/input_tokens"),
    Endpoint("openai", b"POST", b"/v1/embeddings"),
    Endpoint("openai", b"POST", b"/v1/audio/speech"),
    Endpoint("openai", b"POST", b"/v1/images/generations"),
    Endpoint("openai", b"POST", b"/v1/audio/transcriptions", "form"),
    Endpoint("openai", b"GET", b"/v1/models/gpt-5.4", "nothing"),
    Endpoint("openai", b"HEAD", b"/v1/models/gpt-5.4", "nothing"),
    Endpoint("anthropic", b"POST", b"/v1/messages", streams=True),
    Endpoint("anthropic", b"POST", b"/v1/messages", streams=True),
    Endpoint("anthropic", b"POST", b"/v1/messages", streams=True),
    Endpoint("anthropic", b"POST", b"/v1/messages/count_tokens"),
    Endpoint("anthropic", b"POST", b"/v1/complete"),
    Endpoint("anthropic", b"GET", b"/v1/models/claude-a", "nothing"),
    Endpoint("anthropic", b"HEAD", b"/v1/models/claude-a", "nothing"),
)


CODINGS = {
    b"gzip": lambda data: gzip.compress(data, 1, mtime=0),
    b"deflate": lambda data: zlib.compress(data, 1),
    b"br": lambda data: brotli.compress(data, quality=1),
    b"zstd": lambda data: zstandard.compress(data, 1),
}
NAME = b"abcXYZ019-_.!#$%&'*+^`|~"
VALUE = bytes([*range(0x20, 0x7F), 9, *range(0x80, 0x100)])
QUERY = bytes(character for character in range(0x21, 0x7F))
INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n",
]
FINE = [b"200 OK", b"200 OK", b"200 Very Well Then", b"200 ", b"200", b"201 Created", b"202 Accepted",
        b"204 No Content"]  # fmt: skip
WRONG = [b"400 Bad Request", b"401 Unauthorized", b"403 Forbidden", b"404 ", b"409 Conflict", b"413 Too \xe4 Large",
         b"418 I'm a teapot", b"429 Too Many Requests", b"500 Internal", b"502 Bad", b"503 Away", b"529 Overloaded",
         b"599 Odd"]  # fmt: skip
ASKED = [
    b"Accept: text/event-stream, */*;q=0.1", b"User-Agent: codex_exec/0.145 (x; y)", b"anthropic-version: 2023-06-01",
    b"anthropic-beta: a-2025,b-2026", b"anthropic-beta: c", b"OpenAI-Beta: x=1",
    b"Idempotency-Key: 1-2", b"x-codex-turn-state: abc==", b"session_id: 7", b"X-Stainless-Lang: python",
    b"x-claude-code-session-id: 9", b"x-app: cli", b"Accept-Encoding: gzip, br", b"traceparent: 00-1-2-01",
    b"Origin: null", b"Referer: http://x/", b"Range: bytes=0-1", b'If-None-Match: "x"', b"Priority: u=1",
]  # fmt: skip
ANSWERED = [
    b"retry-after: 7", b"x-should-retry: false", b"x-ratelimit-remaining-tokens: 5", b"x-request-id: req_up",
    b"request-id: req_up2", b"anthropic-ratelimit-unified-status: allowed", b"x-codex-turn-state: abc==",
    b"openai-processing-ms: 9", b"Server: up", b"Date: Mon, 23 Nov 2026 10:00:00 GMT", b"Vary: a", b"Vary: b",
    b'ETag: "x"', b"Cache-Control: no-cache", b"x-models-etag: 1", b"Trailer: x-checksum",
]  # fmt: skip

# Whatever a client sends of these stays with the proxy; what is not in this list goes to the provider as it came.
NOT_FOR_PROVIDER = [
    b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"TE: trailers", b"X-Named-Hop: 1",  # hop by hop
    b"X-API-Key: %(token)b", b"api-key: %(token)b", b"x-goog-api-key: AIza", b"Proxy-Authorization: Basic eA==",
    b"OpenAI-Organization: org", b"openai_project: p", b"x-litellm-tags: a", b"X-My-Token: t", b"X-Original-URL: /x",
    b"Cookie: a=b", b"Cookie: c=d",  # whatever can carry a credential
    b"Meshagent-Room: r", b"Meshagent-Anything: 1",
    b"Forwarded: for=1.2.3.4", b"X-Forwarded-For: 1.2.3.4", b"x-forwarded-proto: https", b"X-Forwarded-Host: evil",
]  # fmt: skip
# Whatever a provider sends of these stays with the proxy, which adds Meshproxy-Request-Id.
NOT_FOR_CLIENT = [
    b"Keep-Alive: timeout=5", b"Proxy-Authenticate: Basic", b"Proxy-Connection: close", b"X-Named-Hop: 2",
    b"Set-Cookie: a=b; Path=/", b"Set-Cookie: __cf_bm=x", b"Meshproxy-Request-Id: theirs",
    b"Location: http://elsewhere/", b'WWW-Authenticate: Bearer x="y"', b"strict-transport-security: max-age=1",
    b"X-Accel-Redirect: /internal", b"Refresh: 0", b'Alt-Svc: h3=":443"',  # would lead the client around the proxy
]  # fmt: skip


def response_events(texts: list[str], asked: int, told: int) -> list[tuple[str, str]]:
    usage = {"input_tokens": asked, "output_tokens": told, "total_tokens": asked + told}
    done = {"type": "response.completed", "response": {"id": "resp_1", "model": "gpt-5.4", "usage": usage}}
    deltas = [{"type": "response.output_text.delta", "delta": text} for text in texts]
    events = [{"type": "response.created", "response": {"id": "resp_1"}}, *deltas, done]
    return [(str(event["type"]), json.dumps(event, ensure_ascii=False)) for event in events]


def chat_events(texts: list[str], asked: int, told: int) -> list[tuple[str, str]]:
    chunks = [{"model": "gpt-5.4", "choices": [{"delta": {"content": text}}], "usage": None} for text in texts]
    usage = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
    last = {"model": "gpt-5.4", "choices": [], "usage": usage}
    return [("", json.dumps(chunk, ensure_ascii=False)) for chunk in [*chunks, last]] + [("", "[DONE]")]


def anthropic_events(texts: list[str], asked: int, told: int) -> list[tuple[str, str]]:
    message = {"id": "msg_1", "model": "claude-a", "usage": {"input_tokens": asked, "output_tokens": 1}}
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"text": text}} for text in texts]
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": told}}
    events = [{"type": "message_start", "message": message}, *deltas, last, {"type": "message_stop"}]
    return [(str(event["type"]), json.dumps(event, ensure_ascii=False)) for event in events]
