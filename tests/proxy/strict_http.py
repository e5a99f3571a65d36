"""What the damaged messages' other sides accept: strict readers of what the gateway wrote, either way."""

import json
import re
from typing import Any

from proxy.fake_transport import End

ALLOWED = {"gpt-5.4", "claude-a"}
CREDENTIALS = {b"authorization: Bearer provider-key-o", b"x-api-key: provider-key-a"}
SLOTS = {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization"}
NEVER_UP = re.compile(rb"(?:meshagent-|x-forwarded-|forwarded$|te$|keep-alive$|proxy-|http2-settings$|expect$)")
REQUEST = re.compile(
    rb"([A-Z]{3,10}) (/v1/[!-~]*) HTTP/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)+)\r\n"
)
STATUS = re.compile(
    rb"HTTP/1\.1 ([1-5][0-9][0-9]) [\t -~\x80-\xff]*\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*)\r\n"
)
LENGTH = re.compile(rb"(?im)^content-length:[ \t]*([0-9]+)[ \t]*\r$")
CHUNKED = re.compile(rb"(?im)^transfer-encoding:[ \t]*chunked[ \t]*\r$")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r\n")
TRAILERS = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*\r\n")
NOT_FOR_CLIENT = re.compile(rb"(?im)^(?:set-cookie|keep-alive|proxy-[a-z-]+)[ \t]*:")


class WrongError(AssertionError):
    """What must not be."""


def need(condition: object, what: str) -> None:
    if not condition:
        raise WrongError(what)


def body_end(data: bytes, start: int, fields: bytes) -> int | None:
    """Return where a body that has a framing ends; None where it is not whole, -1 where it has no framing."""
    length, chunked = LENGTH.findall(fields), CHUNKED.findall(fields)
    need(len(length) + len(chunked) <= 1, f"framed in two ways: {fields!r}")
    if length:
        end = start + int(length[0])
        return end if end <= len(data) else None
    if not chunked:
        return -1
    while found := CHUNK.match(data, start):
        size = int(found[1], 16)
        if size == 0:
            last = TRAILERS.match(data, found.end())
            return last.end() if last else None
        start = found.end() + size + 2
        if start > len(data):
            return None
        need(data[start - 2 : start] == b"\r\n", f"a chunk does not end where it says: {data!r}")
    need(b"\r\n" not in data[start:], f"no chunk: {data[start:]!r}")
    return None


class Requests:
    """The provider's side of a connection: what comes must be whole good requests, with its own credential alone."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self.count = 0
        self.strays = False  # the client has put its token where no credential belongs: that is forwarded like all else

    def cut(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the first request, b"" while it is not whole, and the rest."""
        found = REQUEST.match(data)
        need(found or b"\r\n\r\n" not in data, f"the provider got {data!r}")
        if found is None:
            return b"", data
        self._check_head(found[3])
        end = body_end(data, found.end(), found[3])
        if end is None:
            return b"", data
        end = found.end() if end == -1 else end
        self._check_model(found, data[found.end() : end])
        self.count += 1
        return data[:end], data[end:]

    def _check_head(self, fields: bytes) -> None:
        lines = fields[:-2].split(b"\r\n")
        names = [line.partition(b":")[0].lower() for line in lines]
        need(names.count(b"host") == 1, f"{names.count(b'host')} Host headers: {fields!r}")
        credentials = [line for name, line in zip(names, lines, strict=True) if name in SLOTS]
        need(len(credentials) == 1 and credentials[0] in CREDENTIALS, f"credentials: {credentials}")
        need(not any(map(NEVER_UP.match, names)), f"forwarded: {names}")
        need(self.strays or self._token not in fields, f"the client's token went to the provider: {fields!r}")

    def _check_model(self, request: "re.Match[bytes]", body: bytes) -> None:
        if request[1] != b"POST" or not body.startswith(b"{") or b"content-encoding" in request[3].lower():
            return
        members = parsed(body)
        if request[2].startswith(b"/v1/messages/batches"):
            entries = [entry for name, value in members if name == "requests" for entry in pairs(value)]
            members = [
                member for entry in entries for name, value in entry if name == "params" for member in pairs(value)
            ]
        models = [value for name, value in members if name == "model"]
        need(all(model in ALLOWED for model in models), f"the provider got the model {models}")


def pairs(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def parsed(body: bytes) -> list[tuple[str, object]]:
    """Return the members of a JSON object, repeated ones too; none where it can't be read."""
    try:
        found = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=list, strict=False)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []


def check_answers(data: bytes, end: End, *, heads: bool, token: bytes) -> int:
    """Check all that a client got; return how many whole final answers it is."""
    need(token[-43:] not in data, "an answer holds the token")
    need(b"provider-key" not in data, "an answer holds the provider's key")
    place = count = 0
    while place < len(data):
        found = STATUS.match(data, place)
        need(found, f"no answer: {data[place:]!r}")
        assert found is not None
        place = found.end()
        if found[1] == b"100":
            continue
        if found[1] == b"101":
            return count + 1
        need(not NOT_FOR_CLIENT.search(found[2]), f"passed on: {found[2]!r}")
        need(found[2].lower().count(b"meshproxy-request-id:") == 1, f"request ids: {found[2]!r}")
        until = body_end(data, place, found[2])
        if found[1] in {b"204", b"304"} or (heads and data[place : place + 7] in {b"", b"HTTP/1."}):
            until = place
        if until is None:
            return count  # cut short, as anybody can see
        if until == -1:
            need(b"\r\nconnection: close\r\n" in found[0], f"an answer without an end: {data!r}")
            return count + end.closed
        place, count = until, count + 1
    return count


def check_frames(data: bytes) -> None:
    """Check what a provider got of a client: whole masked frames, and no response of a model that is not allowed."""
    place, message = 0, b""
    while place < len(data):
        first, second = data[place : place + 2]
        size, place = second & 0x7F, place + 2
        need(second & 0x80 and not first & 0x70, "a frame that is no client's")
        if size > 125:
            wide = 2 if size == 126 else 8
            size, place = int.from_bytes(data[place : place + wide], "big"), place + wide
        mask, payload = data[place : place + 4], data[place + 4 : place + 4 + size]
        place += 4 + size
        need(place <= len(data), "half a frame")
        if first & 0x0F < 8:
            message += bytes(value ^ mask[at % 4] for at, value in enumerate(payload))
            if first & 0x80:
                members, message = dict(parsed(message)), b""
                if members.get("type") == "response.create":
                    need(members.get("model", "gpt-5.4") in ALLOWED, f"the provider got {members}")
    need(not message, "half a message")
