"""What a client and a provider say to each other arrives as it was said: five hundred exchanges, compared byte by byte.

Client and provider are the tests' own, on real sockets. A failure names its case; `MESHPROXY_TEST_CASES=17,18` runs
just those, on one connection.
"""

import asyncio
import os
import socket
import struct
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.compare_exchanges import Seen, answer_lines, check, request_lines
from proxy.gateway_server import PATIENCE_S, Bench, bench, provider, run, until
from proxy.generated_exchanges import LARGEST, Case, Maker
from proxy.phrases import ENDPOINTS
from proxy.wire import CutError, Message, Pen, Tap, read_answer, read_body

pytestmark = pytest.mark.thorough

CASES = 500
SLICES = 10
CHOSEN = os.environ.get("MESHPROXY_TEST_CASES", "")
CONFIG = """
[providers.openai]
base_url = "http://127.0.0.1:{port}/some/base/v1"
keys = ["provider-key-o"]
[providers.anthropic]
base_url = "http://127.0.0.1:{port}"
keys = ["provider-key-a"]
"""
LEAVES = {"half request", "client before", "client in body"}
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@dataclass
class Play:
    """The cases of a run, the worker, and all that was seen."""

    cases: dict[int, Case]
    seen: dict[int, Seen] = field(default_factory=lambda: defaultdict(Seen))
    open_at_provider: int = 0
    errors: list[str] = field(default_factory=list)

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """Be the provider."""
        self.open_at_provider += 1
        try:
            tap, pen = Tap(reader), Pen(writer)
            while not await tap.ended():
                request = Message()
                request.start, request.lines = await tap.head()
                number = int(request.values(b"x-case")[0])
                case, seen = self.cases[number], self.seen[number]
                seen.requests.append(request)
                if not case.hasty:
                    await read_body(tap, request)
                goes_on = await self._play(case, seen, tap, pen, writer)
                if case.hasty:
                    await read_body(tap, request)
                if not goes_on:
                    return
        except CutError:
            self.errors.append(f"a request to the provider broke off: {request.start!r}")
        except AssertionError as problem:
            self.errors.append(f"what the provider got is malformed: {problem}")
        except RuntimeError:
            pass  # uvloop's for writing to what was torn down
        finally:
            self.open_at_provider -= 1

    async def _play(self, case: Case, seen: Seen, tap: Tap, pen: Pen, writer: Writer) -> bool:
        """Answer as the case says; False where the connection is to end."""
        pen.at(case.answer.pace)
        head = b"".join(case.interim) + answer_head(case)
        framed = b"" if case.bodyless else case.answer.framed
        match case.broken:
            case "provider in head":
                await pen.write(head[: case.number % len(head)])
            case "provider in body":
                await pen.write(head + framed[: case.broken_at])
            case "client before" | "client in body":
                await pen.write(head + framed[: case.broken_at] if case.broken == "client in body" else b"")
                seen.held.set()
                assert await tap.ended()
                seen.left.set()
                return False
            case _:
                await pen.write(head + framed)
                return not case.provider_closes
        if case.torn:
            reset(writer)
        return False


def answer_head(case: Case) -> bytes:
    version = b"HTTP/1.0 " if case.old_provider else b"HTTP/1.1 "
    return version + case.status + b"\r\n" + b"".join(line + b"\r\n" for line in answer_lines(case)) + b"\r\n"


def reset(writer: Writer) -> None:
    """Tear a connection down."""
    if not writer.is_closing():
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


class Client:
    """One connection of a client, which asks for some cases one after another."""

    def __init__(self, play: Play, cases: Sequence[Case], reader: Reader, writer: Writer) -> None:
        self._play = play
        self._cases = cases
        self._tap, self._pen = Tap(reader), Pen(writer)
        self._writer = writer
        self._pipelines = cases[0].number % 3 == 0
        self._answered = asyncio.Semaphore(0)
        self._continues = {case.number: asyncio.Event() for case in cases}

    async def talk(self) -> None:
        """Do it all, to the end of the connection."""
        asking = asyncio.create_task(self._ask())
        reading = asyncio.create_task(self._read())
        last = self._cases[-1]
        seen = self._play.seen[last.number]
        if last.broken in LEAVES:
            await asking
            for _ in self._cases[:-1] if self._pipelines else ():
                await self._answered.acquire()
            if last.broken != "half request":
                await seen.held.wait()
                await asyncio.sleep(0.01)
        else:
            await asyncio.gather(asking, reading)
            if last.ends and seen.answer.whole:
                assert await self._tap.ended(), "the connection goes on, or bytes follow the answer"
        if last.torn:
            reset(self._writer)
        else:
            self._writer.close()
        await reading
        if last.broken.startswith("client"):
            await seen.left.wait()

    async def _ask(self) -> None:
        for case in self._cases:
            self._pen.at(case.request.pace)
            target = case.prefix + case.endpoint.path + case.query
            start = b"%b %b HTTP/%b\r\n" % (case.endpoint.method, target, case.version)
            head = start + b"".join(line + b"\r\n" for line in request_lines(case)) + b"\r\n"
            if case.broken == "half request":
                await self._pen.write(head + case.request.framed[: case.broken_at])
                return
            if case.expects:
                await self._pen.write(head)
                await self._continues[case.number].wait()
                head = b""
            await self._pen.write(head + case.request.framed)
            if not self._pipelines and case is not self._cases[-1]:
                await self._answered.acquire()

    async def _read(self) -> None:
        for case in self._cases:
            self._tap.at(case.reads)
            answer = self._play.seen[case.number].answer
            to_head = case.endpoint.method == b"HEAD"
            await read_answer(self._tap, answer, to_head=to_head, more_interim=self._continues[case.number])
            self._answered.release()


# The run


def connections(cases: Sequence[Case]) -> list[list[Case]]:
    """Return the cases of each connection: a few on one, the last of which may end it."""
    found: list[list[Case]] = [[]]
    for case in cases:
        found[-1].append(case)
        if case.ends or len(found[-1]) > case.number % 7:
            found.append([])
    return [some for some in found if some]


async def play_all(tmp_path: Path, cases: Sequence[Case]) -> None:
    play = Play({case.number: case for case in cases})
    asyncio.get_running_loop().set_exception_handler(lambda _, context: play.errors.append(str(context)))
    async with provider(play.serve) as port, bench(tmp_path, CONFIG.format(port=port)) as running:
        gate = asyncio.Semaphore(8)

        async def talk(some: Sequence[Case]) -> None:
            async with gate:
                reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
                running.writers.append(writer)
                try:
                    await asyncio.wait_for(Client(play, some, reader, writer).talk(), PATIENCE_S)
                except (AssertionError, TimeoutError, OSError) as problem:
                    numbers = [case.number for case in some]
                    play.errors.append(f"connection with cases {numbers}: {problem!r}")
                    writer.transport.abort()

        await asyncio.gather(*map(talk, connections(cases)))
        if not play.errors:
            await nothing_left(running, play)
        events = defaultdict(list)
        for event in running.ledger.seen:
            events[event.session].append(event)
        for case in cases:
            try:
                check(case, play.seen[case.number], events[f"case-{case.number}"], port)
            except AssertionError as problem:
                play.errors.append(f"case {case.number} ({case.endpoint.path!r}, broken: {case.broken!r}): {problem}")
    assert not play.errors, "\n\n".join(play.errors[:5])


async def nothing_left(running: Bench, play: Play) -> None:
    """Wait until all that is left are idle connections to the provider."""
    gateway = running.gateway
    await until(lambda: not gateway.connections)
    assert not gateway.exchanges
    assert not gateway.tunnels
    await until(lambda: play.open_at_provider == gateway.pool.idle_count)


@pytest.mark.parametrize("part", range(1 if CHOSEN else SLICES))
def test_all_arrives_as_it_was_sent(part: int, tmp_path: Path) -> None:
    size = CASES // SLICES
    numbers = map(int, CHOSEN.split(",")) if CHOSEN else range(part * size, (part + 1) * size)
    run(play_all(tmp_path, [Maker(number).case() for number in numbers]))


def test_all_kinds_are_among_them() -> None:
    """The cases are what chance made of them, so what they are to show is counted."""
    cases = [Maker(number).case() for number in range(CASES)]
    kinds = Counter(case.broken for case in cases)
    kinds.update(f"asked: {case.request.framing}" for case in cases)
    kinds.update(f"answered: {case.answer.framing}" for case in cases)
    for name in (
        "expects",
        "asks_close",
        "provider_closes",
        "old_provider",
        "hasty",
        "streamed",
        "filtered",
        "bodyless",
    ):
        kinds[name] = sum(bool(getattr(case, name)) for case in cases)
    kinds["trailers asked"] = sum(bool(case.request.trailers) for case in cases)
    kinds["trailers answered"] = sum(bool(case.answer.trailers) for case in cases)
    kinds["broken between chunks"] = sum(case.broken_at in case.answer.ends for case in cases)
    kinds["packed"] = sum(any(b"ontent-encoding" in line.lower() for line in case.answer.lines) for case in cases)
    assert not {kind: count for kind, count in kinds.items() if count < 8}, kinds
    assert {case.endpoint for case in cases} == set(ENDPOINTS)
    for sent in ("request", "answer"):
        sizes = {len(getattr(case, sent).body) for case in cases}
        assert min(sizes) == 0
        assert LARGEST - 1024 < max(sizes) <= LARGEST
