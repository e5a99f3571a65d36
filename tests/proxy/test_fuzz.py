"""Two hundred thousand damaged requests, answers and websocket frames: no crash, no hang, no leak, nothing malformed.

Each is made of its number alone, which a failure names, with the bytes. `MESHPROXY_TEST_SCALE` changes how many.
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import uvloop

from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import parse_spec
from proxy.fake_transport import End, Rig
from proxy.gateway_server import KEY, PATIENCE_S
from proxy.mutate import (
    ANSWER,
    ANSWERS,
    BAD,
    FROM_CLIENT,
    FROM_PROVIDER,
    GOOD,
    SWITCH,
    TOKEN,
    UPGRADE,
    mutate,
    split,
    spoil,
)
from proxy.strict_http import SLOTS, Requests, check_answers, check_frames, need

pytestmark = pytest.mark.thorough

SCALE = float(os.environ.get("MESHPROXY_TEST_SCALE", "1"))
# How many slices of how many messages each; in all, 200,000.
KINDS = {"request": (15, 10_000), "answer": (8, 5_000), "websocket": (2, 5_000)}
SPEC = """
version: v1
kind: ParticipantToken
identity: ana
room: r
api:
  llm:
    models: [openai/gpt-5.4, anthropic/claude-a]
"""
CONFIG = """
[providers.openai]
base_url = "http://up.localhost/v1"
keys = ["provider-key-o"]
[providers.anthropic]
base_url = "http://up.localhost"
keys = ["provider-key-a"]
"""


class Fuzz:
    """Damaged messages, one after another, through one gateway."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        rig.provider = self._provide
        self.token = mint(parse_spec(SPEC), KEY, now=int(time.time())).encode()
        self.requests = Requests(self.token)
        self.answers = [ANSWER]
        self.good = [one.replace(TOKEN, self.token) for one in GOOD]
        self.told: Counter[bytes] = Counter()  # by what the answers began with
        self.damaged = b""

    def _provide(self, end: End) -> bool:
        new = end.take()
        if not new:
            return False
        end.unread += new
        while end.unread and not end.tunnelled:
            request, end.unread = self.requests.cut(end.unread)
            if not request:
                break
            end.coming.extend(self.answers)
            end.tunnelled = self.answers == [SWITCH]
        return True

    async def request(self, random: Random) -> None:
        """Send a damaged request."""
        seeds = GOOD if random.random() < 0.9 else BAD
        self.damaged = data = mutate(random, random.choice(seeds), GOOD).replace(TOKEN, self.token)
        rig, before, events = self.rig, self.requests.count, self.rig.events
        self.answers = [ANSWER] if random.random() < 0.95 else []
        rig.unreachable = random.choice((0,) * 30 + (1, 2))
        lines = [line for line in data.split(b"\r\n") if self.token in line]
        self.requests.strays = any(line.partition(b":")[0].lower() not in SLOTS for line in lines)
        client = rig.client()
        client.coming.extend(split(random, data))
        await rig.settle()
        count = check_answers(bytes(client.written), client, heads=b"HEAD" in data, token=self.token)
        self.told[bytes(client.written[:12])] += 1
        answered = count if self.answers else count + 1
        need(client.closed or answered >= self.requests.count - before, "an answer of the provider did not arrive")
        if not client.closed:
            client.hang_up(ConnectionResetError() if random.random() < 0.3 else None)
        await self.all_gone()
        need(rig.events - events >= self.requests.count - before, "a request was not written down")

    async def answer(self, random: Random) -> None:
        """Answer a good request with a damaged answer."""
        request = random.choice(self.good)
        self.damaged = mutate(random, random.choice(ANSWERS), ANSWERS)
        rig, client = self.rig, self.rig.client()
        self.answers = split(random, self.damaged)
        client.coming.append(request)
        await rig.settle()
        if random.random() < 0.2 and not client.closed:
            client.protocol.pause_writing()
            await rig.settle()
            client.protocol.resume_writing()
            await rig.settle()
        if rig.gateway.exchanges and random.random() < 0.5:
            for _ in range(6):  # each of three requests may be tried once more
                for end in tuple(rig.upstreams):
                    end.hang_up(ConnectionResetError() if random.random() < 0.3 else None)
                await rig.settle()
            need(not rig.gateway.exchanges, "an exchange goes on without a provider")
        count = check_answers(bytes(client.written), client, heads=request.startswith(b"HEAD"), token=self.token)
        self.told[bytes(client.written[:12])] += 1
        need(count or client.closed or rig.left()["exchanges"] or rig.left()["tunnels"], "no answer, and no end")
        if random.random() < 0.3:
            await self._probe(client if count and not rig.left()["tunnels"] else None)
        if not client.closed:
            client.hang_up()
        await self.all_gone()

    async def _probe(self, client: End | None) -> None:
        """Ask for something good, on the same connection where it is still good: nothing else may be answered."""
        self.answers = [ANSWER]
        if client is None or client.closed or client.ended:
            client = self.rig.client()
        client.written.clear()
        client.coming.append(self.good[0])
        await self.rig.settle()
        got = bytes(client.written)
        need(got.startswith(b"HTTP/1.1 200 ") and got.endswith(ANSWER.partition(b"\r\n\r\n")[2]), f"after it: {got!r}")
        need(check_answers(got, client, heads=False, token=self.token) == 1, f"after it: {got!r}")
        client.hang_up()

    async def websocket(self, random: Random) -> None:
        """Send damaged frames both ways through a tunnel."""
        rig, client = self.rig, self.rig.client()
        self.answers = [SWITCH]
        client.coming.append(UPGRADE.replace(TOKEN, self.token))
        await rig.settle()
        need(client.take().startswith(b"HTTP/1.1 101 "), "no tunnel")
        (provider,) = [end for end in rig.upstreams if end.tunnelled]
        sent = b"".join(random.choices(FROM_CLIENT, k=random.randrange(1, 5)))
        said = b"".join(random.choices(FROM_PROVIDER, k=random.randrange(1, 5)))
        sent, said = (spoil(random, data) if random.random() < 0.7 else data for data in (sent, said))
        self.damaged = sent + said
        client.coming.extend(split(random, sent))
        provider.coming.extend(split(random, said))
        await rig.settle()
        check_frames(provider.unread)
        need(self.token[-43:] not in client.written, "the token came back")
        for end in random.sample([client, provider], 2):
            if not end.closed:
                end.hang_up()
            await rig.settle()
        need(provider.closed and client.closed, "a tunnel goes on with one side")
        self.told[b"HTTP/1.1 101"] += 1
        await self.all_gone()

    async def all_gone(self) -> None:
        left = self.rig.left()
        if any(left.values()):
            await self.rig.settle()
            left = self.rig.left()
        need(not any(left.values()), f"left: {left}")
        pool, kept = self.rig.gateway.pool, sum(not end.closed for end in self.rig.upstreams)
        if kept != pool.idle_count:
            pool.sweep(0.0)  # only those go that the provider has closed
        need(kept == pool.idle_count, f"{kept} connections to the provider are open, {pool.idle_count} are idle")


async def spoil_some(directory: Path, kind: str, numbers: range) -> None:
    """Go through the messages of these numbers."""
    rig = Rig(directory, CONFIG)
    fuzz = Fuzz(rig)
    one = getattr(fuzz, kind)
    for number in numbers:
        try:
            await one(Random(number))
            need(not rig.failures, str(rig.failures))
        except Exception as problem:
            raise AssertionError(f"{kind} {number}: {problem!r}\n{fuzz.damaged!r}") from problem
    good = sum(count for start, count in fuzz.told.items() if start in {b"HTTP/1.1 200", b"HTTP/1.1 101"})
    assert good > len(numbers) / 8, f"hardly anything got through: {fuzz.told}"
    assert rig.events > len(numbers) / 8
    await rig.close()
    assert not rig.ends, "a connection to the provider is left"


@pytest.mark.parametrize(
    ("kind", "part"), [(kind, part) for kind, (parts, _) in KINDS.items() for part in range(parts)]
)
def test_nothing_breaks(kind: str, part: int, tmp_path: Path) -> None:
    size = int(KINDS[kind][1] * SCALE)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(spoil_some(tmp_path, kind, range(part * size, (part + 1) * size)))


def test_there_are_enough() -> None:
    assert sum(parts * size for parts, size in KINDS.values()) >= 200_000


IMPATIENT = """
[limits]
head_timeout_s = 0.05
body_timeout_s = 0.05
keep_alive_s = 0.05
idle_timeout_s = 0.05
"""


def test_nothing_waits_for_ever(tmp_path: Path) -> None:
    """Damaged requests and answers that neither side goes on with are all ended in time."""

    async def play() -> None:
        rig = Rig(tmp_path, CONFIG + IMPATIENT)
        fuzz = Fuzz(rig)
        clients = []
        for number in range(1500):
            random = Random(number)
            fuzz.answers = [mutate(random, random.choice(ANSWERS), ANSWERS)]
            clients.append(rig.client())
            clients[-1].coming.append(mutate(random, random.choice(fuzz.good), GOOD))
            await rig.settle()
        for client in clients:
            if b"HTTP/1.1 101 " in client.written and not client.closed:
                client.hang_up()  # a websocket without a turn may wait for an hour
        assert rig.gateway.connections
        rig.gateway.start_sweeping()
        deadline = time.monotonic() + PATIENCE_S
        while any(rig.left().values()):
            assert time.monotonic() < deadline, f"left: {rig.left()}"
            await rig.settle()
            await asyncio.sleep(0.05)
        assert all(client.closed for client in clients)
        rig.gateway.stop_sweeping()
        await rig.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_what_is_not_spoilt_gets_through(place: int, tmp_path: Path) -> None:
    async def play() -> None:
        rig = Rig(tmp_path, CONFIG)
        fuzz = Fuzz(rig)
        fuzz.answers = [SWITCH] if b"Upgrade: websocket" in GOOD[place] else [ANSWER]
        client = rig.client()
        client.coming.append(fuzz.good[place])
        await rig.settle()
        assert client.written.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 101 ", b"HTTP/1.1 100 Continue"))
        client.hang_up()
        await rig.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())


def test_pipelined_requests_in_any_two_pieces(tmp_path: Path) -> None:
    async def play() -> None:
        rig = Rig(tmp_path, CONFIG)
        fuzz = Fuzz(rig)
        plain, chunked = fuzz.good[0], fuzz.good[3]
        for data in (plain + chunked + plain, chunked + plain):
            for cut in range(0, len(data), 2):
                client = rig.client()
                client.coming.extend((data[:cut], data[cut:]))
                await rig.settle()
                got = check_answers(bytes(client.written), client, heads=False, token=fuzz.token)
                assert got == data.count(b"POST "), (cut, client.written)
                assert client.written.count(b" 200 OK") == got
                client.hang_up()
        assert not rig.failures
        await rig.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play())
