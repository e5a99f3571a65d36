"""Requests of one connection whose heads repeat: what was found out about the first holds only while it is true."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.request import authentication as auth
from meshproxy_cli.proxy.request import lifecycle as exchange
from meshproxy_cli.store.records import Room
from proxy.gateway_server import KEY, Asked, Bench, bench, plain, provider, read_request, request, run, token, until

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


def config(port: int, key: str) -> str:
    return f'[providers.openai]\nbase_url="http://127.0.0.1:{port}/v1"\nkeys=["{key}"]\n'


@dataclass
class Provider:
    asked: list[Asked] = field(default_factory=list)

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        while True:
            self.asked.append(await read_request(reader))
            writer.write(plain(b"{}"))


async def status(reader: Reader, writer: Writer, data: bytes) -> int:
    """Send a request; return its answer's status once the answer is read."""
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    (size,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    await reader.readexactly(int(size.partition(b":")[2]))
    return int(head.split(b" ")[1])


def test_a_changed_configuration_and_a_revoked_key_count_at_once(tmp_path: Path) -> None:
    served = Provider()

    async def test(running: Bench, port: int) -> None:
        gateway = running.gateway
        reader, writer = await running.connect()
        data = request(close=False)
        assert [await status(reader, writer, data) for _ in range(3)] == [200, 200, 200]
        gateway.use_config(load_config(config(port, "two"), {}, str))
        assert await status(reader, writer, data) == 200
        revoked = replace(gateway.directory.keys[KEY.id], revoked=True)
        gateway.use_directory(replace(gateway.directory, keys={KEY.id: revoked}))
        assert await status(reader, writer, data) == 401

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, config(port, "one")) as running:
            await test(running, port)

    run(whole())
    assert [asked.fields(b"authorization")[0] for asked in served.asked] == [b"Bearer one"] * 3 + [b"Bearer two"]


def test_a_token_expires_between_two_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = [0.0]
    real = time.time
    monkeypatch.setattr(exchange, "time", lambda: real() + late[0])
    served = Provider()

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, config(port, "one")) as running:
            running.gateway.authenticator = auth.Authenticator(running.gateway.directory, lambda: real() + late[0])
            reader, writer = await running.connect()
            data = request(close=False).replace(token().encode(), token(expires_in=60).encode())
            assert [await status(reader, writer, data) for _ in range(2)] == [200, 200]
            late[0] = 61.0
            assert await status(reader, writer, data) == 401

    run(whole())
    assert len(served.asked) == 2


def test_bodies_of_any_length_follow_a_head_that_repeats(tmp_path: Path) -> None:
    served = Provider()
    bodies = [b'{"model":"gpt-5.4","input":"%b"}' % (b"x" * size) for size in (0, 1, 9, 500, 70_000, 300_000, 3)]

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, config(port, "one")) as running:
            reader, writer = await running.connect()
            assert [await status(reader, writer, request(body, close=False)) for body in bodies] == [200] * len(bodies)
            writer.write(b"".join(request(body, close=False) for body in bodies))
            assert [await status(reader, writer, b"") for _ in bodies] == [200] * len(bodies)

    run(whole())
    assert [asked.body for asked in served.asked] == bodies * 2


def test_a_room_that_changes_counts_at_once(tmp_path: Path) -> None:
    served = Provider()

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, config(port, "one")) as running:
            gateway = running.gateway
            reader, writer = await running.connect()
            data = request(close=False)
            assert await status(reader, writer, data) == 200
            narrow = Room(name="r", project_id=KEY.project_id, created_at=datetime.now(UTC), models=("openai/other",))
            gateway.use_directory(replace(gateway.directory, rooms={(KEY.project_id, "r"): narrow}))
            assert await status(reader, writer, data) == 403
            elsewhere = replace(narrow, models=(), providers={"openai": "not-there"})
            gateway.use_directory(replace(gateway.directory, rooms={(KEY.project_id, "r"): elsewhere}))
            assert await status(reader, writer, data) == 503

    run(whole())
    assert len(served.asked) == 1


def test_a_head_that_repeats_is_asked_for_its_body_and_measured_each_time(tmp_path: Path) -> None:
    served, body = Provider(), b'{"model":"gpt-5.4"}'
    large = request(bytes(32 * 2**20 + 1), "Expect: 100-continue", close=False)

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, config(port, "one")) as running:
            reader, writer = await running.connect()
            data = request(body, "Expect: 100-continue", close=False)
            for _ in range(3):
                writer.write(data[: -len(body)])
                assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                assert await status(reader, writer, body) == 200
            writer.write(large.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")

    run(whole())
    assert len(served.asked) == 3


def test_a_list_and_its_head_alone_are_told_apart(tmp_path: Path) -> None:
    listed = b'{"data":[{"id":"gpt-5.4"}]}'

    async def serve(reader: Reader, writer: Writer) -> None:
        while True:
            asked = await read_request(reader)
            writer.write(plain(listed).removesuffix(listed if asked.head.startswith(b"HEAD") else b""))

    async def whole() -> None:
        async with provider(serve) as port, bench(tmp_path, config(port, "one")) as running:
            reader, writer = await running.connect()
            for method in ("GET", "HEAD", "HEAD", "GET", "GET"):
                writer.write(request(b"", path="/openai/v1/models/gpt-5.4", method=method, close=False))
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
                if method == "GET":
                    assert await reader.readexactly(len(listed)) == listed

    run(whole())


@pytest.mark.parametrize("what", ["revoked", "expired"])
def test_a_body_that_takes_its_time_does_not_outlive_its_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    late = [0.0]
    real = time.time
    monkeypatch.setattr(exchange, "time", lambda: real() + late[0])
    served = Provider()

    async def whole() -> None:
        async with provider(served) as port, bench(tmp_path, config(port, "one")) as running:
            gateway = running.gateway
            gateway.authenticator = auth.Authenticator(gateway.directory, lambda: real() + late[0])
            data = request(close=False).replace(token().encode(), token(expires_in=60).encode())
            reader, writer = await running.connect()
            writer.write(data[:-5])
            await until(lambda: [one._size for one in gateway.exchanges] == [14])
            if what == "expired":
                late[0] = 61.0
            else:
                revoked = replace(gateway.directory.keys[KEY.id], revoked=True)
                gateway.use_directory(replace(gateway.directory, keys={KEY.id: revoked}))
            assert await status(reader, writer, data[-5:]) == 401

    run(whole())
    assert not served.asked
