"""Requests and answers made up by chance, the same ones in every run: a case is known by its number."""

from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

from proxy.phrases import (
    ANSWERED,
    ASKED,
    CODINGS,
    ENDPOINTS,
    FINE,
    INTERIM,
    NAME,
    NOT_FOR_CLIENT,
    NOT_FOR_PROVIDER,
    QUERY,
    VALUE,
    WRONG,
    Endpoint,
    anthropic_events,
    chat_events,
    response_events,
)
from proxy.wire import Pace

LARGEST = 32 * 2**20
LARGE_REQUESTS = frozenset({60, 160, 310})
LARGE_ANSWERS = frozenset({111, 211, 361, 411})
SIZES = (0, 1, 2, 3, 17, 100, 999, 4095, 4096, 4097, 16_000, 65_535, 65_536, 65_537, 200_000, 700_000)
WEIGHTS = (4, 3, 2, 2, 3, 4, 4, 2, 2, 2, 3, 2, 2, 2, 2, 1)


@dataclass(slots=True)
class Sent:
    """A message to be written: `lines` are its own headers, `framed` its body as it goes over the wire."""

    lines: list[bytes] = field(default_factory=list)
    body: bytes = b""
    trailers: list[bytes] = field(default_factory=list)
    framing: str = "length"  # or chunked, close, none
    framed: bytes = b""
    ends: list[int] = field(default_factory=list)  # where chunks end in it
    pace: Pace = field(default_factory=Pace)

    @property
    def framing_lines(self) -> list[bytes]:
        if self.framing == "chunked":
            return [b"Transfer-Encoding: chunked"]
        return [b"Content-Length: %d" % len(self.body)] if self.framing == "length" else []


@dataclass(slots=True)
class Case:
    """One exchange, and what goes wrong in it."""

    number: int
    endpoint: Endpoint
    prefix: bytes
    query: bytes
    version: bytes
    request: Sent
    dropped: list[bytes]  # header lines of the request that are not for the provider
    interim: list[bytes]
    status: bytes
    answer: Sent
    kept_here: list[bytes]  # header lines of the answer that are not for the client
    reads: Pace
    expects: bool = False
    asks_close: bool = False
    provider_closes: bool = False  # after the answer
    tokens: tuple[int, int] | None = None  # of the answer, input and output
    old_provider: bool = False  # which speaks HTTP/1.0
    hasty: bool = False  # the provider answers before it has read the body
    hides: bytes = b""  # the document of a stream whose client does not ask for usage, which the proxy does then
    arrives: bytes | None = None  # what the client gets of the body where that is not all
    broken: str = ""  # half request, provider in head, provider in body, client before, client in body
    broken_at: int = 0  # how many bytes of the broken message's body, as framed, are sent
    torn: bool = False  # a reset, not a close

    @property
    def ends(self) -> bool:
        """Whether the client's connection ends with it."""
        if self.asks_close or self.version == b"1.0":
            return True
        if self.broken:
            return self.broken != "provider in head"
        return self.answer.framing == "close" and not self.bodyless and not self.filtered

    @property
    def bodyless(self) -> bool:
        """Whether the answer has no body, whatever its head says."""
        return self.endpoint.method == b"HEAD" or self.status[:3] in {b"204", b"304"}

    @property
    def filtered(self) -> bool:
        """Whether the answer is searched for the usage that its client did not ask for: it is framed again."""
        return bool(self.hides) and self.streamed and self.status.startswith(b"200")

    @property
    def streamed(self) -> bool:
        return any(b"event-stream" in line for line in self.answer.lines)


class Maker:
    """Makes the case of one number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.random = Random(f"case {number}")
        self._hides = False  # the client does not ask for usage, and so does not get it
        self._plain = b""
        self._packed = False
        self._parts: list[bytes] = []  # of the stream

    def case(self) -> Case:
        """Return it."""
        pick, chance = self.random.choice, self.random.random
        endpoint = pick(ENDPOINTS)
        stream = endpoint.streams and chance() < 0.6
        request, dropped, query = self._request(endpoint, stream=stream)
        answer, kept_here, status, tokens = self._answer(endpoint, stream=stream)
        room = b"/rooms/" + pick([b"r", b"team%2Fone", b"r%C3%A4um%20chen"])
        base = b"/openai" if endpoint.protocol == "openai" else b"/anthropic"
        alias = endpoint.protocol == "openai" and chance() < 0.2
        case = Case(
            number=self.number,
            endpoint=endpoint,
            prefix=room if alias else room + base,
            query=query,
            version=b"1.0" if chance() < 0.03 and request.framing != "chunked" else b"1.1",
            request=request,
            dropped=dropped,
            interim=[pick(INTERIM) for _ in range(pick([0, 0, 0, 0, 1, 2]))],
            status=status,
            answer=answer,
            kept_here=kept_here,
            reads=self._pace(),
            asks_close=chance() < 0.1,
            provider_closes=chance() < 0.15 or answer.framing == "close",
            tokens=tokens,
        )
        case.old_provider = answer.framing != "chunked" and chance() < 0.1
        case.hasty = bool(request.framed) and chance() < 0.08
        case.hides = self._plain if self._hides else b""
        if self._hides and status[:3] == b"200" and case.streamed and not self._packed:
            case.arrives = b"".join(part for part in self._parts if b'"choices": [], "usage"' not in part)
        case.expects = chance() < 0.06 and case.version == b"1.1" and bool(request.framed)
        if chance() < 0.3:
            self._break(case)
            case.hasty = False
        return case

    # What goes wrong

    def _break(self, case: Case) -> None:
        choices = ["client before", "provider in head"]
        if len(case.request.framed) > 1 and not case.expects:
            choices.append("half request")
        if case.answer.framed and not case.bodyless:
            choices += ["client in body", "provider in body"] * 2
        case.broken = self.random.choice(choices)
        case.torn = self.random.random() < 0.3 or case.answer.framing == "close"  # which is its only mark there
        whole = case.request.framed if case.broken == "half request" else case.answer.framed
        case.broken_at = self.random.randrange(len(whole)) if whole else 0
        if case.broken != "half request" and len(case.answer.ends) > 1 and self.random.random() < 0.5:
            case.broken_at = self.random.choice(case.answer.ends[:-1])

    # Requests

    def _request(self, endpoint: Endpoint, *, stream: bool) -> tuple[Sent, list[bytes], bytes]:
        made = Sent(lines=self._unknown_headers(ASKED), pace=self._pace())
        kind = b"application/json"
        if endpoint.sends == "nothing":
            made.framing = "none"
        elif endpoint.sends == "form":
            mark = b"----x%d" % self.random.getrandbits(60)
            kind = b'multipart/form-data; boundary="%b"' % mark
            made.body = self._form(mark)
        else:
            made.body = self._document(endpoint, stream=stream)
        if endpoint.sends != "nothing":
            made.lines.insert(self.random.randrange(len(made.lines) + 1), self._cased(b"Content-Type: " + kind))
            self._plain = made.body
            self._pack(made)
            self._frame(made, ["length", "length", "chunked"])
        dropped = self.random.sample(NOT_FOR_PROVIDER, self.random.randrange(5))
        if any(line.startswith(b"X-Named-Hop") for line in dropped):
            dropped.append(self._cased(b"Connection: keep-alive, x-named-hop"))
        query = b"?" + bytes(self.random.choices(QUERY, k=self.random.randrange(1, 60)))
        return made, [self._cased(line) for line in dropped], query if self.random.random() < 0.3 else b""

    def _document(self, endpoint: Endpoint, *, stream: bool) -> bytes:
        size = LARGEST if self.number in LARGE_REQUESTS else self._size()
        space = self.random.choice([b"", b" ", b"\n\t", b"\r\n  "])
        members = [b'"model":%b"%b"' % (space, b"gpt-5.4" if endpoint.protocol == "openai" else b"claude-a")]
        if stream:
            members.append(b'"stream":true')
            self._hides = endpoint.path == b"/v1/chat/completions" and self.random.random() < 0.7
            if not self._hides:
                members.append(b'"stream_options":{ "include_usage" : true }')
        members.append(b'"odd":[1.50,1e5,-0,"\\u00e4\\/\\ud83d\\ude00","\xc3\xa4",null,{"a":1,"a":2}]')
        frame = space + b"{" + space + (b"," + space).join([*members, b'"input":""']) + space + b"}"
        members.append(b'"input":"%b"' % self._text(max(0, size - len(frame))))
        if self.number not in LARGE_REQUESTS:
            self.random.shuffle(members)
        return space + b"{" + space + (b"," + space).join(members) + space + b"}"

    def _form(self, mark: bytes) -> bytes:
        parts = [
            b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
            + self.random.randbytes(self._size()),
            b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1',
            b'Content-Disposition: form-data; name="prompt"\r\n\r\n\xc3\xa4\r\n\r\n-- ',
        ]
        self.random.shuffle(parts)
        return b"".join(b"--%b\r\n%b\r\n" % (mark, part) for part in parts) + b"--%b--\r\n" % mark

    def _pack(self, made: Sent) -> None:
        if self.random.random() < 0.2 and self.number not in LARGE_REQUESTS:
            coding = self.random.choice(list(CODINGS))
            made.body = CODINGS[coding](made.body)
            made.lines.append(self._cased(b"Content-Encoding: " + coding))

    # Answers

    def _answer(self, endpoint: Endpoint, *, stream: bool) -> tuple[Sent, list[bytes], bytes, tuple[int, int] | None]:
        made = Sent(lines=self._unknown_headers(ANSWERED), pace=self._pace())
        status, tokens = self.random.choice(FINE), None
        kind = self.random.choice([b"application/json", b"application/octet-stream", b"text/html; charset=x", b""])
        if self.random.random() < 0.25:
            status = self.random.choice(WRONG)
            made.body = self._bytes()
        elif stream:
            status, kind = b"200 OK", b"text/event-stream; charset=utf-8"
            made.body, tokens = self._events(endpoint)
        else:
            made.body = self._bytes()
        if kind:
            made.lines.append(self._cased(b"Content-Type: " + kind))
        if self.random.random() < 0.15:
            self._packed = True
            coding = self.random.choice(list(CODINGS))
            made.body = CODINGS[coding](made.body)
            made.lines.append(self._cased(b"Content-Encoding: " + coding))
        self._frame(made, ["length", "length", "chunked", "chunked", "chunked", "close"])
        kept_here = self.random.sample(NOT_FOR_CLIENT, self.random.randrange(4))
        if any(line.startswith(b"X-Named-Hop") for line in kept_here):
            kept_here.append(self._cased(b"Connection: X-Named-HOP"))
        return made, kept_here, status, tokens

    def _bytes(self) -> bytes:
        size = LARGEST if self.number in LARGE_ANSWERS else self._size()
        return self._text(size) if self.random.random() < 0.5 else self.random.randbytes(size)

    def _events(self, endpoint: Endpoint) -> tuple[bytes, tuple[int, int]]:
        """Return a stream of events and what it says was used."""
        asked, told = self.random.randrange(1, 5000), self.random.randrange(1, 5000)
        texts = [self._text(self.random.randrange(60)).decode() for _ in range(self.random.randrange(30))]
        if endpoint.protocol == "anthropic":
            events = anthropic_events(texts, asked, told)
        elif endpoint.path == b"/v1/chat/completions":
            events = chat_events(texts, asked, told)
        else:
            events = response_events(texts, asked, told)
        end = self.random.choice(["\n", "\r\n"])
        for name, data in events:
            self._parts.append(((f"event: {name}{end}" if name else "") + f"data: {data}{end}{end}").encode())
            if self.random.random() < 0.1:
                self._parts.append(f": ping{end}{end}".encode())
        return b"".join(self._parts), (asked, told)

    # Both

    def _size(self) -> int:
        return self.random.choices(SIZES, WEIGHTS)[0]

    def _text(self, size: int) -> bytes:
        """Return so many bytes of text that needs no escapes in JSON, with characters of several bytes."""
        unit = self.random.choice(["abc def ", "äöü ", "漢字", "😀 x", ": \\u00e4 "]).encode()
        start = self.random.randrange(8)
        text = b"data"[:start] + unit * (size // len(unit) + 1)
        cut = text[:size].decode(errors="ignore").encode().rstrip(b"\\u0e4")
        return cut + b"." * (size - len(cut))

    def _frame(self, made: Sent, framings: list[str]) -> None:
        made.framing = self.random.choice(framings)
        made.framed = made.body
        if made.framing == "chunked":
            if self.random.random() < 0.3:
                made.trailers = self._unknown_headers([b"X-Checksum: 1", b"Server-Timing: a;dur=1"])[:3]
            chunks = self._chunks(made.body)
            made.ends = list(accumulate(map(len, chunks)))
            made.framed = b"".join(chunks) + b"".join(line + b"\r\n" for line in made.trailers) + b"\r\n"

    def _chunks(self, body: bytes) -> list[bytes]:
        """Return a body in chunks of any sizes, written in all the ways that sizes may be written, the last one too."""
        pieces: list[bytes] = []
        place = 0
        most = self.random.choice([1, 7, 100, 5000, 70_000, 2**25])
        while place < len(body):
            size = self.random.randrange(1, most + 1) if len(pieces) < 300 else len(body)
            piece = body[place : place + size]
            place += len(piece)
            number = self.random.choice([b"%x", b"%X", b"%08x", b"0%x"]) % len(piece)
            extension = self.random.choice([b"", b"", b"", b";a", b';a="b \\" c"', b" ; x=1;y"])
            pieces.append(number + extension + b"\r\n" + piece + b"\r\n")
        return [*pieces, self.random.choice([b"0", b"0000", b"0;last=1"]) + b"\r\n"]

    def _unknown_headers(self, known: list[bytes]) -> list[bytes]:
        lines = self.random.sample(known, self.random.randrange(len(known) + 1))
        for _ in range(self.random.randrange(6)):
            name = b"X-" + bytes(self.random.choices(NAME, k=self.random.randrange(1, 20)))
            value = bytes(self.random.choices(VALUE, k=self.random.randrange(40)))
            lines += [name + b":" + self.random.choice([b"", b" ", b"\t  "]) + value] * self.random.choice([1, 1, 1, 3])
        self.random.shuffle(lines)
        return [self._cased(line) for line in lines]

    def _cased(self, line: bytes) -> bytes:
        """Return a header line with its name written in some other way."""
        name, colon, value = line.partition(b":")
        change = self.random.choice([bytes, bytes, bytes.lower, bytes.upper, bytes.swapcase, bytes.title])
        return change(name) + colon + value

    def _pace(self) -> Pace:
        """Return a pace; most are quick, and the slow ones are slow for a moment only."""
        if self.random.random() < 0.4:
            return Pace()
        most = self.random.choice([3, 40, 1000, 20_000])
        steps = tuple(self.random.randrange(1, most + 1) for _ in range(self.random.randrange(1, 25)))
        return Pace(steps, self.random.choice([0.0, 0.0, 0.001, 0.004]))
