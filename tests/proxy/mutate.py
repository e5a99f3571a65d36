"""Good and bad bytes to begin with, and ways to spoil them; the same ones for the same `Random`."""

import gzip
import json
import re
from random import Random

import zstandard

from proxy.test_smuggling import REFUSED

TOKEN = b"@TOKEN@"  # stands for the participant token while a message is damaged
AUTH = b"Authorization: Bearer " + TOKEN + b"\r\nMeshagent-Session: s-1\r\n"
_NASTY = [bytes([value]) for value in (0, 9, 10, 11, 13, 32, 34, 44, 58, 59, 61, 127, 128, 255)] + [
    b"\r\n", b"\r\n\r\n", b"\n\n", b"0\r\n\r\n", b"chunked", b"-1", b"ffffffff", b"%2f", b"..", b"//", b"HTTP/1.1",
    b'"', b"\\", b"{", b"}", b"[", b"\xc3", b"\xed\xa0\x80", b"1e999", b"GET / HTTP/1.1\r\n\r\n",
]  # fmt: skip
_NASTY_LINES = [
    b"Content-Length: 5", b"Content-Length: 0", b"Content-Length: -1", b"Content-Length: 1e3", b"content-length:7",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked", b"TE: x",
    b"Connection: close", b"Connection: keep-alive", b"Connection: content-length, host, authorization",
    b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c", b"HTTP2-Settings: x", b"Expect: 100-continue",
    b"Expect: 200-maybe", b"Host: evil.example", b"X-Forwarded-For: 1.1.1.1", b"Forwarded: for=x", b"Cookie: a=b",
    b"Set-Cookie: a=b", b"Proxy-Authorization: Basic eA==", b"X-Api-Key: sk-client-key", b"api-key: sk-client-key",
    b"Authorization: Bearer sk-client-key", b"Meshagent-Session: other", b"Meshagent-Room: x", b"Trailer: x",
    b"Content-Encoding: gzip", b"Content-Encoding: br, br, br, br", b"Content-Encoding: identity",
    b"Content-Type: text/event-stream", b"Content-Type: multipart/form-data; boundary=x", b" folded", b"\tfolded",
    b": no name", b"no colon", b"X-A: \x00", b"X-Long: " + b"a" * 3000, b"Meshproxy-Request-Id: mine", b"Age: 1",
    b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: realtime, bearer.sk-client-key",
]  # fmt: skip


def _post(path: bytes, body: bytes, *lines: bytes, framed: bytes | None = None) -> bytes:
    sent = b"Content-Length: %d" % len(body) if framed is None else b"Transfer-Encoding: chunked"
    head = b"POST /rooms/r%b HTTP/1.1\r\nHost: proxy\r\n%b" % (path, AUTH)
    return head + b"".join(line + b"\r\n" for line in (*lines, sent)) + b"\r\n" + (body if framed is None else framed)


def _get(path: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    head = b"%b /rooms/r%b HTTP/1.1\r\nHost: proxy\r\n%b" % (method, path, AUTH)
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


_JSON = b"Content-Type: application/json"
_FORM = b"Content-Type: multipart/form-data; boundary=XX"
_PART = b'--XX\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
_ASK = b'{"model":"gpt-5.4","input":"x","stream":false}'
_STREAM = b'{"model":"gpt-5.4","stream":true,"messages":[{"role":"user","content":"\xc3\xa4"}]}'
_CLAUDE = b'{"model":"claude-a","max_tokens":9,"stream":true,"messages":[]}'
_CHUNKED = b'14;x="y"\r\n{"model":"gpt-5.4", \r\n010\r\n"input":"abcd"}\n\r\n0\r\nX-Sum: 1\r\nCookie: a\r\n\r\n'
UPGRADE = _get(
    b"/openai/v1/responses", b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Extensions: permessage-deflate",
)  # fmt: skip
GOOD = [
    _post(b"/openai/v1/responses", _ASK, _JSON),
    _post(b"/openai/v1/responses", _STREAM, _JSON, b"User-Agent: codex_exec/1", b"Accept: text/event-stream"),
    _post(b"/openai/v1/chat/completions", _STREAM, _JSON, b"Accept-Encoding: gzip"),
    _post(b"/openai/v1/responses", b"", _JSON, framed=_CHUNKED),
    _post(b"/openai/v1/responses/compact", gzip.compress(_ASK, mtime=0), b"Content-Encoding: gzip"),
    _post(b"/v1/embeddings", zstandard.compress(_ASK), b"Content-Encoding: zstd"),
    _post(
        b"/openai/v1/audio/transcriptions", _PART % (b"model", b"gpt-5.4") + _PART % (b"file", b"\0\r\n") + b"--XX--",
        _FORM,
    ),
    _post(b"/anthropic/v1/messages?beta=true", _CLAUDE, b"x-api-key: sk-client-key", b"anthropic-beta: a"),
    _post(b"/anthropic/v1/messages/count_tokens", _CLAUDE, b"User-Agent: claude-cli/2", b"Connection: close"),
    _post(b"/anthropic/v1/messages/batches", b'{"requests":[{"custom_id":"a","params":{"model":"claude-a"}}]}'),
    _get(b"/openai/v1/models?limit=1000"),
    _get(b"/openai/v1/models?client_version=1"),
    _get(b"/anthropic/v1/models/claude-a", method=b"HEAD"),
    _get(b"/anthropic", method=b"HEAD"),
    _get(b"/openai/v1/realtime?model=gpt-5.4", b"Connection: Upgrade", b"Upgrade: websocket"),
    UPGRADE,
    _post(b"/openai/v1/responses", _ASK, b"Expect: 100-continue"),
    _post(b"/openai/v1/responses", _ASK).replace(b" HTTP/1.1", b" HTTP/1.0"),
    _post(b"/v1/responses", _ASK) + _get(b"/openai/v1/models/gpt-5.4") + _post(b"/anthropic/v1/complete", _CLAUDE),
]  # fmt: skip
_TWO_READINGS = (
    b'{"model":"gpt-5.4","input":"x","model":"gpt-6"}', b'{"model":"gpt-6","model":"gpt-5.4"}', b'{"model":"gpt-6"}',
    b'{"model":"gpt-5.4","\\u006dodel":"gpt-6"}', b'{"model":"gpt-5.4","Model":"gpt-6"}', b'{"model":["gpt-5.4"]}',
)  # fmt: skip
BAD = [
    *(one.replace(b"Host: proxy\r\n", b"Host: proxy\r\n" + AUTH, 1) for one in REFUSED.values() if len(one) < 5000),
    *(_post(b"/openai/v1/responses", body) for body in _TWO_READINGS),
]


def _events(*events: dict[str, object], done: bytes = b"") -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events) + done


_USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
_RESPONSE = {"id": "resp_1", "object": "response", "model": "gpt-5.4", "usage": _USAGE}
_RESPONSES = _events(
    {"type": "response.created"}, {"type": "response.output_text.delta", "delta": "\u00e4"},
    {"type": "response.completed", "response": _RESPONSE},
)  # fmt: skip
_CHAT = _events(
    {"choices": [{"delta": {"content": "a"}}], "usage": None},
    {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}, done=b"data: [DONE]\n\n",
)  # fmt: skip
_MESSAGES = _events(
    {"type": "message_start", "message": {"model": "claude-a", "usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "message_delta", "usage": {"output_tokens": 9}}, {"type": "message_stop"},
)  # fmt: skip


def _answer(body: bytes, *lines: bytes, status: bytes = b"200 OK", framing: str = "length") -> bytes:
    framed, sent = body, [b"Content-Length: %d" % len(body)]
    if framing == "chunked":
        cut = len(body) // 3
        framed = b"".join(b"%x;e\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
        framed, sent = framed + b"0\r\nX-Sum: 1\r\n\r\n", [b"Transfer-Encoding: chunked"]
    elif framing == "close":
        sent = []
    fields = b"".join(line + b"\r\n" for line in (*lines, *sent))
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n" + framed


_SSE = b"Content-Type: text/event-stream"
ANSWER = _answer(json.dumps(_RESPONSE).encode(), _JSON, b"X-Request-Id: up")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
)
ANSWERS = [
    ANSWER,
    _answer(json.dumps(_RESPONSE).encode(), _JSON, b"Set-Cookie: a=b", framing="chunked"),
    _answer(_RESPONSES, _SSE, framing="chunked"),
    _answer(_CHAT, _SSE, framing="chunked"),
    _answer(_MESSAGES, _SSE, b"Keep-Alive: timeout=5", framing="chunked"),
    _answer(_MESSAGES, _SSE, framing="close"),
    _answer(gzip.compress(_RESPONSES, mtime=0), _SSE, b"Content-Encoding: gzip", framing="chunked"),
    _answer(b'{"object":"list","data":[{"id":"gpt-5.4"},{"id":"gpt-6"},{"id":"claude-a"}]}', _JSON),
    _answer(b'{"id":"msgbatch_1","data":[{"id":"msgbatch_1"}]}', _JSON, framing="chunked"),
    _answer(b'{"error":{"message":"slow"}}', _JSON, b"Retry-After: 3", status=b"429 Too Many"),
    _answer(b"<html>", b"Connection: close", status=b"503 Away", framing="close"),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + ANSWER,
    b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n" + _RESPONSES,
    ANSWER + _answer(b'{"smuggled":true}'),
    SWITCH + b"\x81\x02{}",
    ANSWER.replace(b"\r\n", b"\n"),
    ANSWER.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"),
    _answer(b"", b"Content-Length: 7"),
    _answer(b"x", b" folded"),
]


def frame(payload: bytes, opcode: int = 1, *, masked: bool, final: bool = True) -> bytes:
    """Return a websocket frame."""
    size = len(payload)
    first = bytes([opcode | (0x80 if final else 0)])
    second = size if size < 126 else 126 if size < 2**16 else 127
    head = first + bytes([second | (0x80 if masked else 0)])
    head += b"" if size < 126 else size.to_bytes(2 if size < 2**16 else 8, "big")
    if not masked:
        return head + payload
    mask = b"\x01\x7f\x80\xff"
    return head + mask + bytes(value ^ mask[place % 4] for place, value in enumerate(payload))


_CREATE = b'{"type":"response.create","model":"gpt-5.4","input":"\xc3\xa4"}'
FROM_CLIENT = [
    frame(_CREATE, masked=True),
    frame(b'{"type":"response.create","model":"gpt-6"}', masked=True),
    frame(b'{"type":"response.create","response":{"model":"gpt-5.4"},"model":"gpt-5.4"}', masked=True),
    frame(b'{"type":"session.update","session":{"model":"gpt-5.4"}}', masked=True),
    frame(_CREATE[:9], masked=True, final=False) + frame(b"", 9, masked=True) + frame(_CREATE[9:], 0, masked=True),
    frame(b'{"type":"response.create","model":"gpt-5.4","pad":"' + b"x" * 200 + b'"}', masked=True),
    frame(b"\0\1", 2, masked=True),
    frame(b"ping", 9, masked=True),
    frame(b"\x03\xe8bye", 8, masked=True),
]
FROM_PROVIDER = [
    frame(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}).encode(), masked=False),
    frame(json.dumps({"type": "response.completed", "response": _RESPONSE}).encode(), masked=False),
    frame(json.dumps({"type": "error", "error": {"code": "x"}}).encode(), masked=False),
    frame(json.dumps({"type": "response.output_text.delta", "delta": "y" * 300}).encode(), masked=False),
    frame(b'{"type":', masked=False, final=False) + frame(b'"response.incomplete"}', 0, masked=False),
    frame(b"pong", 10, masked=False),
    frame(b"\x03\xe9", 8, masked=False),
]


def mutate(random: Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Spoil a message in one to four places."""
    for _ in range(random.choice((1, 1, 1, 1, 1, 2, 2, 3))):
        data = random.choice(_WAYS)(random, data, seeds)
    return data


def spoil(random: Random, data: bytes) -> bytes:
    """Spoil bytes in one to three places."""
    for _ in range(random.randrange(1, 4)):
        data = _bytewise(random, data, [])
    return data


def _bytewise(random: Random, data: bytes, _seeds: list[bytes]) -> bytes:
    place = random.randrange(len(data) + 1)
    match random.randrange(6):
        case 0:
            return data[:place] + bytes([random.randrange(256)]) + data[place + 1 :]
        case 1:
            return data[:place] + random.choice(_NASTY) + data[place:]
        case 2:
            return data[:place] + random.choice(_NASTY) + data[place + 1 :]
        case 3:
            return data[:place] + data[place + random.randrange(1, 12) :]
        case 4:
            return data[:place] + data[max(0, place - random.randrange(1, 20)) :]
        case _:
            return data[:place]


def _structurally(random: Random, data: bytes, seeds: list[bytes]) -> bytes:
    head, mark, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    place = random.randrange(len(lines))
    match random.randrange(9):
        case 0 | 1:
            lines.insert(random.randrange(1, len(lines) + 1), random.choice(_NASTY_LINES))
        case 2:
            lines.insert(place, lines[-1 - place])
        case 3:
            del lines[place]
        case 4:
            lines[place] = lines[place].swapcase()
        case 5:
            other = random.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        case 6:
            body = random.choice(seeds).partition(b"\r\n\r\n")[2]
        case 7:
            name, colon, value = lines[place].partition(b":")
            lines[place] = (
                name + colon + random.choice((b"", b" 0", b" chunked", b" " + value, value + b" ", b"\tx, y"))
            )
        case _:
            body += random.choice(seeds)
    return b"\r\n".join(lines) + mark + body


def _inside(random: Random, data: bytes, seeds: list[bytes]) -> bytes:
    """Spoil the body alone, and give its new length where it has one."""
    head, mark, body = data.partition(b"\r\n\r\n")
    for _ in range(random.randrange(1, 4)):
        body = _bytewise(random, body, seeds)
    return _LENGTH.sub(b"Content-Length: %d" % len(body), head) + mark + body


_WAYS = (_bytewise, _structurally, _inside, _inside)
_LENGTH = re.compile(rb"Content-Length: [0-9]+")


def split(random: Random, data: bytes) -> list[bytes]:
    """Cut data into pieces: mostly one or a few, sometimes single bytes."""
    how = random.random()
    if how < 0.4:
        return [data]
    if how < 0.41:
        return [data[place : place + 1] for place in range(len(data))]
    places = sorted(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 5)))
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]
