"""What a websocket's client, or its provider, may send to keep a worker busy."""

import asyncio
import json
from pathlib import Path

import pytest

from e2e.websocket_peers import CLOSE, PING, PONG, TEXT, create, frame, masked
from meshproxy_cli.proxy.limiting.interface import Admission
from meshproxy_cli.proxy.websocket.frames import MessageReader
from meshproxy_cli.proxy.websocket.slices import Slices
from meshproxy_cli.proxy.websocket.tunnel import ControlMeter, Tunnel
from proxy.gateway_server import until
from proxy.websocket.test_tunnel import Scene, code_of, play

MIB = 2**20


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_a_flood_of_control_frames_ends_the_websocket(tmp_path: Path, opcode: int) -> None:
    async def test(scene: Scene) -> None:
        scene.client.send(masked(opcode, b"") * 20_000)
        goodbye = await scene.client.hear()
        assert code_of(goodbye) == 1008
        assert b"too many control frames" in goodbye.payload
        passed = 0
        while not await at_end(scene):
            passed += 1
        assert passed <= 110

    async def at_end(scene: Scene) -> bool:
        try:
            await scene.provider.hear()
        except (AssertionError, ConnectionError):
            return True
        return False

    play(tmp_path, test)


def test_a_ping_now_and_then_is_free() -> None:
    meter = ControlMeter(0.0)
    assert all(meter.take(float(second)) for second in range(1000))
    assert [meter.take(1000.0) for _ in range(200)].count(True) == 100
    assert not meter.take(1000.01)
    assert meter.take(1020.0)


def test_many_messages_are_taken_in_many_turns_of_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    real = Tunnel._take
    now = [0]

    def take(tunnel: Tunnel, message: object) -> None:
        turns.append(now[0])
        real(tunnel, message)  # type: ignore[arg-type]

    monkeypatch.setattr(Tunnel, "_take", take)

    async def test(scene: Scene) -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            now[0] += 1
            loop.call_soon(turn)

        loop.call_soon(turn)
        scene.client.send(masked(TEXT, b"{}") * 2000)
        await until(lambda: len(turns) == 2000)
        assert max(map(turns.count, set(turns))) <= 48

    play(tmp_path, test)


def test_messages_keep_their_order_in_slices(tmp_path: Path) -> None:
    sent = [
        json.dumps({"type": "x", "number": number, "pad": "y" * (number * 37 % 5000)}).encode() for number in range(300)
    ]

    async def test(scene: Scene) -> None:
        scene.client.send(b"".join(masked(TEXT, one) for one in sent))
        assert [(await scene.provider.hear()).payload for _ in sent] == sent
        scene.provider.send(b"".join(frame(TEXT, one) for one in sent))
        assert [(await scene.client.hear()).payload for _ in sent] == sent

    play(tmp_path, test)


def test_what_a_provider_said_before_it_left_is_heard(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.provider.send(frame(TEXT, b"{}") * 3000)
        scene.provider.writer.close()
        for _ in range(3000):
            assert (await scene.client.hear()).payload == b"{}"
        assert code_of(await scene.client.hear()) == 1011

    play(tmp_path, test)


def test_a_large_message_is_read_elsewhere_and_sent_as_it_came(tmp_path: Path) -> None:
    large = create(input="x" * (3 * MIB))

    async def test(scene: Scene) -> None:
        scene.limits.at_once = Admission()
        scene.client.send(masked(TEXT, large), masked(TEXT, b'{"type":"after"}'))
        scene.provider._frames = MessageReader(masked=True, limit=8 * MIB)
        assert (await scene.provider.hear()).payload == large
        assert (await scene.provider.hear()).payload == b'{"type":"after"}'
        assert scene.running.gateway.inspector._process is not None
        scene.client.send(masked(TEXT, create(input="x" * (3 * MIB), previous_response_id="resp_foreign")))
        assert b"there is no 'resp_foreign'" in (await scene.client.hear()).payload

    play(tmp_path, test)


@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
@pytest.mark.parametrize("mask", [False, True])
def test_large_frames_are_read_in_any_pieces(size: int, mask: bool) -> None:  # noqa: FBT001 (a parameter of pytest's)
    said = bytes(range(256)) * (8 if size == 1 else 2000) * 3
    stream = (masked if mask else frame)(TEXT, said) + (masked if mask else frame)(TEXT, b"next")
    reader = MessageReader(masked=mask, limit=4 * MIB)
    read = [one for start in range(0, len(stream), size) for one in reader.feed(stream[start : start + size])]
    assert [one.payload for one in read] == [said, b"next"]
    assert b"".join(one.raw for one in read) == stream
    assert reader.held == 0


def test_small_fragments_are_kept_in_few_pieces() -> None:
    reader = MessageReader(masked=False, limit=MIB)
    stream = b"\x01\x01[" + b"\x00\x01[" * 5000
    reader.feed(stream)
    assert len(reader._raw) == len(reader._payload) == 2
    (whole,) = reader.feed(b"\x80\x01]")
    assert whole.payload == b"[" * 5001 + b"]"
    assert whole.raw == stream + b"\x80\x01]"


class Later:
    """An event loop's `call_soon`, of which the test is in charge."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def call_soon(self, call: object) -> None:
        self.calls.append(call)


def test_slices() -> None:
    loop, taken, held = Later(), [], []
    slices = Slices(loop, taken.append, lambda: held.append(slices.busy))  # type: ignore[arg-type]
    slices.add(b"a" * 1024)
    assert (taken.pop(), slices.busy) == (b"a" * 1024, False)
    slices.add(b"b" * 3000)
    assert (taken.pop(), held) == (b"b" * 1024, [True])
    slices.add(b"c")
    slices.finish(lambda: taken.append(b"the end"))
    slices.wanted = 1500
    while loop.calls:
        loop.calls.pop()()  # type: ignore[operator]
    assert taken == [b"b" * 1500, b"b" * 476 + b"c", b"the end"]
    assert held == [True, False]
    slices.finish(lambda: taken.append(b"again"))
    assert taken[-1] == b"again"


def test_goodbyes_count_too(tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        scene.client.send(masked(CLOSE, b"") * 5000)
        await until(lambda: not scene.running.gateway.tunnels)

    play(tmp_path, test)
