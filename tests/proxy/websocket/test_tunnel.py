"""A tunnel between a client and a provider in this process: the limits' answers that come late, silence, the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.websocket_peers import CLOSE, PING, TEXT, completed, create, created, frame, masked, message, switch
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.interface import Admission, AdmitAll, Pending
from meshproxy_cli.proxy.websocket.frames import Message, MessageReader
from meshproxy_cli.store.events import Outcome, UsageEvent
from proxy.gateway_server import Bench, bench, provider, request, run, until

ClientProfile, Writer = asyncio.StreamReader, asyncio.StreamWriter
FULL = ProxyError(status=429, code="rate_limit_exceeded", message="The room is full.")
UPGRADE = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
REALTIME = "/openai/v1/realtime?model=gpt-realtime"


class Asked(AdmitAll):
    """Limits whose every answer the test gives; `at_once` is what they say without waiting."""

    def __init__(self) -> None:
        self.at_once: Admission | ProxyError | None = None
        self.pending: list[Pending] = []
        self.settled: list[tuple[Admission, UsageEvent]] = []
        self.abandoned: list[Pending] = []

    def admit(self, *_: object) -> Admission | ProxyError | Pending:  # type: ignore[override]  # looks at nothing
        if self.at_once is not None:
            return self.at_once
        self.pending.append(Future())
        return self.pending[-1]

    def settle(self, admission: Admission, event: UsageEvent) -> None:
        self.settled.append((admission, event))

    def abandon(self, pending: Pending) -> None:
        self.abandoned.append(pending)


class End:
    """One end of a websocket."""

    def __init__(self, reader: ClientProfile, writer: Writer, *, masked: bool) -> None:
        self._reader = reader
        self.writer = writer
        self._frames = MessageReader(masked=masked, limit=2**20)
        self._heard: list[Message] = []

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def hear(self) -> Message:
        while not self._heard:
            data = await asyncio.wait_for(self._reader.read(65536), 20)
            assert data, "it ended"
            self._heard = self._frames.feed(data)
        return self._heard.pop(0)

    async def ended(self) -> bool:
        return await asyncio.wait_for(self._reader.read(), 20) == b""


@dataclass
class Scene:
    """A websocket with both its ends, and the gateway between them."""

    running: Bench
    client: End
    provider: End
    limits: Asked


@asynccontextmanager
async def connected(directory: Path, path: str = "/openai/v1/responses", more: str = "") -> AsyncIterator[Scene]:
    met: asyncio.Queue[tuple[ClientProfile, Writer]] = asyncio.Queue()
    over = asyncio.Event()

    async def serve(reader: ClientProfile, writer: Writer) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(switch())
        met.put_nowait((reader, writer))
        await over.wait()

    async with provider(serve) as port:
        config = f'[providers.openai]\nbase_url="http://127.0.0.1:{port}/v1"\nkeys=["one"]\n{more}'
        async with bench(directory, config) as running:
            limits = running.gateway.limiter = Asked()
            reader, writer = await running.connect()
            writer.write(request(b"", *UPGRADE, method="GET", path=path, close=False, framing="X-Nothing: 1"))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            ends = End(reader, writer, masked=False), End(*await met.get(), masked=True)
            yield Scene(running, *ends, limits)
            over.set()


def play(directory: Path, test: Callable[[Scene], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        async with connected(directory, **options) as scene:
            await test(scene)

    run(whole())


def code_of(goodbye: Message) -> int:
    assert goodbye.opcode == CLOSE
    return int.from_bytes(goodbye.payload[:2], "big")


def test_what_follows_a_turn_waits_for_the_limits_too(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.client.send(masked(TEXT, create()), masked(PING, b"behind it"))
        await until(lambda: len(scene.limits.pending) == 1)
        scene.limits.pending[0].set_result(Admission(holds=("one",)))
        assert (await scene.provider.hear()).payload == create()
        assert (await scene.provider.hear()).payload == b"behind it"
        scene.provider.send(frame(TEXT, created()), frame(TEXT, completed(3, 2)))
        await scene.client.hear()
        await scene.client.hear()
        ((leave, event),) = scene.limits.settled
        assert (leave.holds, event.tokens.input_tokens, event.outcome) == (("one",), 3, Outcome.OK)

    play(tmp_path, test)


def test_a_turn_that_the_limits_refuse_is_not_sent_and_the_websocket_goes_on(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        for number, verdict in enumerate((FULL, Admission())):
            scene.client.send(masked(TEXT, create(input=str(number))))
            await until(lambda: len(scene.limits.pending) > number)  # noqa: B023 (awaited at once)
            scene.limits.pending[number].set_result(verdict)
        assert b"The room is full." in (await scene.client.hear()).payload
        assert (await scene.provider.hear()).payload == create(input="1")
        assert (await scene.running.event()).outcome is Outcome.REFUSED

    play(tmp_path, test)


def test_a_refused_message_counts_towards_the_limits(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        for number, verdict in enumerate((Admission(holds=("one",)), FULL)):
            scene.client.send(masked(TEXT, create(previous_response_id="resp_of_nobody")))
            await until(lambda: len(scene.limits.pending) > number)  # noqa: B023 (awaited at once)
            scene.limits.pending[number].set_result(verdict)
            told = (await scene.client.hear()).payload
            assert (b"The room is full." in told) is (verdict is FULL)
        ((leave, event),) = scene.limits.settled
        assert (leave.holds, event.outcome, event.tokens.input_tokens) == (("one",), Outcome.REFUSED, 0)

    play(tmp_path, test)


def test_limits_that_fail_let_a_turn_pass(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.client.send(masked(TEXT, create()))
        await until(lambda: len(scene.limits.pending) == 1)
        scene.limits.pending[0].set_exception(OSError("the store is away"))
        assert (await scene.provider.hear()).payload == create()

    play(tmp_path, test)


def test_a_client_that_leaves_before_the_limits_have_answered(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.client.send(masked(TEXT, create()))
        await until(lambda: len(scene.limits.pending) == 1)
        scene.client.writer.close()
        assert await scene.provider.ended()
        assert scene.limits.abandoned == scene.limits.pending
        scene.limits.pending[0].set_result(Admission())
        assert not scene.running.gateway.tunnels

    play(tmp_path, test)


@pytest.mark.parametrize("late", [False, True])
def test_a_response_that_the_provider_begins_is_counted(tmp_path: Path, late: bool) -> None:  # noqa: FBT001
    async def test(scene: Scene) -> None:
        scene.provider.send(frame(TEXT, created()))
        await scene.client.hear()
        if not late:
            scene.limits.pending[0].set_result(Admission(holds=("one",)))
            await asyncio.sleep(0)
        scene.provider.send(frame(TEXT, completed(3, 2, kind="response.done")))
        await scene.client.hear()
        if late:
            scene.limits.pending[0].set_result(Admission(holds=("one",)))
        await until(lambda: bool(scene.limits.settled))
        ((leave, event),) = scene.limits.settled
        assert (leave.holds, event.tokens.input_tokens, event.model_requested) == (("one",), 3, "gpt-realtime")

    play(tmp_path, test, path=REALTIME)


def test_a_response_that_nobody_may_have_ends_the_websocket(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.provider.send(frame(TEXT, created()))
        await scene.client.hear()
        scene.limits.pending[0].set_result(FULL)
        assert b"The room is full." in (await scene.client.hear()).payload
        assert code_of(await scene.client.hear()) == 1008
        assert await scene.provider.ended()
        refused, broken_off = scene.running.ledger.seen
        assert (refused.outcome, refused.error) == (Outcome.REFUSED, "rate_limit_exceeded")
        assert (broken_off.outcome, broken_off.model_served) == (Outcome.REFUSED, "gpt-5.4-served")

    play(tmp_path, test, path=REALTIME)


def test_the_refusal_of_what_the_provider_begins_stands_behind_its_message(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.limits.at_once = FULL
        begun = frame(TEXT, created())
        scene.provider.send(begun[:9])
        assert await scene.client._reader.readexactly(9) == begun[:9]
        scene.provider.send(begun[9:])
        assert await scene.client._reader.readexactly(len(begun) - 9) == begun[9:]
        assert b"The room is full." in (await scene.client.hear()).payload
        assert code_of(await scene.client.hear()) == 1008

    play(tmp_path, test, path=REALTIME)


def test_silence_in_a_turn_ends_the_websocket(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.client.send(masked(TEXT, create()))
        await until(lambda: len(scene.limits.pending) == 1)
        scene.limits.pending[0].set_result(Admission())
        await scene.provider.hear()
        goodbye = await scene.client.hear()
        assert code_of(goodbye) == 1011
        assert b"nothing was sent for" in goodbye.payload
        assert await scene.provider.ended()
        assert (await scene.running.event()).outcome is Outcome.PROVIDER_CLOSED

    play(tmp_path, test, more="[limits]\nidle_timeout_s = 0.2")


def test_without_a_turn_a_websocket_may_be_silent(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        await asyncio.sleep(1.2)  # the sweeper comes by every half second
        scene.client.send(masked(PING, b"still here"))
        assert (await scene.provider.hear()).payload == b"still here"

    play(tmp_path, test, more="[limits]\nidle_timeout_s = 0.2")


def test_what_the_provider_sends_unreadably_goes_through_and_is_counted(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.provider.send(b"\x83\x02hi")
        assert await scene.client._reader.readexactly(4) == b"\x83\x02hi"
        assert scene.running.gateway.ledger.counters.unmetered == 1
        scene.provider.send(frame(TEXT, b"{}"))
        assert await scene.client._reader.readexactly(4) == frame(TEXT, b"{}")
        assert scene.running.gateway.ledger.counters.unmetered == 1

    play(tmp_path, test)


def test_a_server_that_stops_waits_for_the_limits_and_the_turn(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        (tunnel,) = scene.running.gateway.tunnels
        scene.client.send(masked(TEXT, create()))
        await until(lambda: len(scene.limits.pending) == 1)
        scene.running.gateway.draining = True
        tunnel.drain()
        scene.limits.pending[0].set_result(Admission())
        await scene.provider.hear()
        tunnel.drain()
        scene.provider.send(frame(TEXT, created()), frame(TEXT, message(type="response.incomplete", response={})))
        assert b"response.created" in (await scene.client.hear()).payload
        assert b"response.incomplete" in (await scene.client.hear()).payload
        assert code_of(await scene.client.hear()) == 1001

    play(tmp_path, test)
