"""Read the head of a request or an answer, refusing whatever two parsers could understand differently.

llhttp (httptools) is asked too, so that a head passes only where both agree. What is stricter here: no bare LF, no
obsolete folding, no repeated framing headers, no control characters, one known form for lengths.
Grammar: RFC 9112, sections 2 to 6.
"""

import re
from dataclasses import dataclass

import httptools

MAX_HEAD_BYTES = 64 * 1024
CHUNKED = -1

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":[\t -~\x80-\xff]*\r\n)*\r\n")
_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]{1,16384}) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t -~\x80-\xff]*))?\r\n")
# Headers of an answer that mean something here.
_KNOWN = re.compile(
    rb"\r\n(connection|content-(?:length|type|encoding)|transfer-encoding|(?:x-)?request-id|sec-websocket-extensions)"
    rb":([^\r\n]*)",
    re.IGNORECASE,
)
_HOST = re.compile(rb"(?:[0-9A-Za-z._~%-]+|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_BARE_LF = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_ONCE = frozenset({
    b"content-length", b"transfer-encoding", b"host", b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key",
    b"proxy-authorization", b"content-type", b"content-encoding", b"expect", b"upgrade", b"meshagent-session",
    b"sec-websocket-key", b"sec-websocket-version",
})  # fmt: skip


class MalformedHeadError(Exception):
    """Bytes that are no HTTP/1.1 head, or one that could be read in two ways; the text says why."""


@dataclass(slots=True)
class Head:
    """A head: `names` in lower case beside `lines` as they came (without line ends), and the last line by name."""

    names: list[bytes]
    lines: list[bytes]
    by_name: dict[bytes, bytes]
    minor: int  # of the HTTP version: 0 or 1

    def value(self, name: bytes) -> bytes:
        """Return the value of the (last) header of that lower-case name, b"" without one."""
        line = self.by_name.get(name)
        return b"" if line is None else line[len(name) + 1 :].strip(b" \t")

    def values(self, name: bytes) -> bytes:
        """Return all values of that name, joined by a comma as RFC 9110 (5.3) has it."""
        if name not in self.by_name:
            return b""
        size = len(name) + 1
        found = [line[size:].strip(b" \t") for key, line in zip(self.names, self.lines, strict=True) if key == name]
        return b", ".join(found)

    @property
    def says_close(self) -> bool:
        """Whether the Connection header ends the connection."""
        return b"connection" in self.by_name and b"close" in self.values(b"connection").lower()


@dataclass(slots=True)
class RequestHead(Head):
    """A request's head; `length` is the body's size in bytes or `CHUNKED`."""

    method: bytes
    target: bytes
    length: int

    @property
    def keeps_alive(self) -> bool:
        """Whether the client means to send another request on this connection."""
        return self.minor == 1 and not self.says_close


@dataclass(slots=True)
class AnswerHead:
    """An answer's head; `length` is the body's size in bytes, `CHUNKED`, or None where the end is the connection's.

    `fields` are the header lines as they came, each with its CRLF; `known` has the values that matter here, by name in
    lower case (those of a repeated header joined by a comma).
    """

    minor: int  # of the HTTP version: 0 or 1
    status: int
    reason: bytes
    fields: bytes
    known: dict[bytes, bytes]
    length: int | None = None

    def value(self, name: bytes) -> bytes:
        """Return the value of one of the headers that matter here (lower-case name), b"" without one."""
        return self.known.get(name, b"")

    @property
    def keeps_alive(self) -> bool:
        """Whether the provider keeps the connection open after this answer."""
        return self.minor == 1 and b"close" not in self.known.get(b"connection", b"").lower()


class _Silent:
    """What llhttp reports to when only its verdict is wanted."""


_SILENT = _Silent()


def read_request_head(block: bytes) -> RequestHead:
    """Read `block`, which ends with the empty line; raise `MalformedHeadError`."""
    start = _REQUEST_LINE.match(block)
    if start is None:
        raise MalformedHeadError("the request line is malformed")
    names, lines, by_name = _read_fields(block, start.end())
    head = RequestHead(names, lines, by_name, int(start[3]), start[1], start[2], 0)
    _check_host(head)
    head.length = _request_length(head)
    _ask_llhttp(block)
    return head


def read_answer_head(block: bytes) -> AnswerHead:
    """Read a provider's `block`, which ends with the empty line; raise `MalformedHeadError`."""
    start = _STATUS_LINE.match(block)
    if start is None:
        raise MalformedHeadError("the status line is malformed")
    place = start.end()
    _check_fields(block, place)
    head = AnswerHead(int(start[1]), int(start[2]), start[3] or b"", block[place:-2], _known_fields(block))
    known = head.known
    if b"transfer-encoding" in known:
        if known[b"transfer-encoding"].lower() != b"chunked":
            raise MalformedHeadError("the Transfer-Encoding is not exactly chunked")
        if b"content-length" in known:
            raise MalformedHeadError("both Content-Length and Transfer-Encoding are given")
        head.length = CHUNKED
    elif b"content-length" in known:
        head.length = _number(known[b"content-length"])
    return head


def _known_fields(block: bytes) -> dict[bytes, bytes]:
    known: dict[bytes, bytes] = {}
    for found, value in _KNOWN.findall(block):
        name = found.lower()
        if name in known:
            if name in _ONCE:
                raise MalformedHeadError(f"the header {name.decode()} is repeated")
            known[name] += b", " + value.strip(b" \t")
        else:
            known[name] = value.strip(b" \t")
    return known


def check_partial_head(data: bytes, seen: int = 0) -> None:
    """Refuse the beginning of a head that can't become a good one any more, or is over `MAX_HEAD_BYTES`.

    `seen`: how many bytes of it were checked before, so that a head in many pieces is not read many times.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise MalformedHeadError("the header block is larger than 64 KiB")
    if _BARE_LF.search(data, max(0, seen - 1)):
        raise MalformedHeadError("a line ends without CRLF")


def _check_fields(block: bytes, start: int) -> None:
    if len(block) > MAX_HEAD_BYTES:
        raise MalformedHeadError("the header block is larger than 64 KiB")
    if _FIELDS.fullmatch(block, start) is None:
        raise MalformedHeadError("a header line is malformed")


def _read_fields(block: bytes, start: int) -> tuple[list[bytes], list[bytes], dict[bytes, bytes]]:
    _check_fields(block, start)
    if len(block) - start == len(b"\r\n"):
        return [], [], {}
    lines = block[start:-4].split(b"\r\n")
    names = [line.split(b":", 1)[0].lower() for line in lines]
    by_name = dict(zip(names, lines, strict=True))
    if len(by_name) != len(lines):
        _check_repeats(names)
    return names, lines, by_name


def _check_repeats(names: list[bytes]) -> None:
    for name in _ONCE:
        if names.count(name) > 1:
            raise MalformedHeadError(f"the header {name.decode()} is repeated")


def _check_host(head: RequestHead) -> None:
    if b"host" not in head.by_name:
        if head.minor == 1:
            raise MalformedHeadError("the Host header is missing")
        return
    host = head.value(b"host")
    if _HOST.fullmatch(host) is None:
        raise MalformedHeadError("the Host header is malformed")


def _request_length(head: RequestHead) -> int:
    if b"transfer-encoding" in head.by_name:
        if b"content-length" in head.by_name:
            raise MalformedHeadError("both Content-Length and Transfer-Encoding are given")
        if head.minor == 0:
            raise MalformedHeadError("HTTP/1.0 knows no Transfer-Encoding")
        _check_coding(head)
        return CHUNKED
    if b"content-length" in head.by_name:
        return _read_length(head)
    return 0


def _check_coding(head: Head) -> None:
    if head.value(b"transfer-encoding").lower() != b"chunked":
        raise MalformedHeadError("the Transfer-Encoding is not exactly chunked")
    if b"content-length" in head.by_name:
        raise MalformedHeadError("both Content-Length and Transfer-Encoding are given")


def _read_length(head: Head) -> int:
    return _number(head.value(b"content-length"))


def _number(text: bytes) -> int:
    if _LENGTH.fullmatch(text) is None:
        raise MalformedHeadError("the Content-Length is no plain number")
    return int(text)


def _ask_llhttp(block: bytes) -> None:
    try:
        httptools.HttpRequestParser(_SILENT).feed_data(block)
    except httptools.HttpParserUpgrade:
        return
    except httptools.HttpParserError as problem:
        raise MalformedHeadError(str(problem)) from None
