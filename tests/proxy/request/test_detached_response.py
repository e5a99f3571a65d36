"""Answers whose client went away: read on where the server is told to, within bounds."""

import asyncio
import json
from pathlib import Path

import pytest

from meshproxy_cli.proxy.config.server import ConfigError, load_config
from meshproxy_cli.store.events import Outcome, UsageEvent
from proxy.gateway_server import STREAM, bench, provider, read_request, request, run, until

CREATED = b'event: response.created\ndata: {"type":"response.created"}\n\n'
USAGE = {"input_tokens": 11, "output_tokens": 5}
DONE = (
    b"event: response.completed\ndata: %b\n\n"
    % json.dumps(
        {"type": "response.completed", "response": {"id": "resp_1", "model": "gpt-5.4", "usage": USAGE}}
    ).encode()
)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def left_early(tmp_path: Path, usage: str, *, ends: bool) -> UsageEvent:
    """Let a client leave a stream, which the provider ends or keeps open; return the event."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(STREAM + chunk(CREATED))
        await gone.wait()
        if ends:
            writer.write(chunk(DONE) + b"0\r\n\r\n")
        await reader.read()

    async def play() -> UsageEvent:
        async with provider(serve) as port:
            config = f'[providers.openai]\nbase_url="http://127.0.0.1:{port}/v1"\nkeys=["one"]\n[usage]\n{usage}\n'
            async with bench(tmp_path, config) as running:
                reader, writer = await running.connect()
                writer.write(request(b'{"model":"gpt-5.4","stream":true}'))
                await reader.readuntil(CREATED)
                writer.close()
                await until(lambda: not running.gateway.exchanges)
                gone.set()
                event = await running.event()
                assert not running.gateway.detached
                return event

    events: list[UsageEvent] = []

    async def kept() -> None:
        events.append(await play())

    run(kept())
    return events[0]


def test_a_drained_answer_has_the_providers_own_numbers(tmp_path: Path) -> None:
    event = left_early(tmp_path, 'on_disconnect = "drain"', ends=True)
    assert event.outcome is Outcome.CLIENT_CLOSED
    assert (event.tokens.input_tokens, event.tokens.output_tokens, event.estimated) == (11, 5, False)


def test_draining_ends_when_its_time_is_over(tmp_path: Path) -> None:
    event = left_early(tmp_path, 'on_disconnect = "drain"\ndrain_seconds = 0.2', ends=False)
    assert (event.outcome, event.estimated) == (Outcome.CLIENT_CLOSED, True)


def test_by_default_the_request_is_cancelled(tmp_path: Path) -> None:
    event = left_early(tmp_path, "", ends=True)
    assert (event.outcome, event.tokens.input_tokens, event.estimated) == (Outcome.CLIENT_CLOSED, 0, True)


@pytest.mark.parametrize("line", ['on_disconnect = "maybe"', "drain_seconds = 0", "drain_most = 1.5", "drain_most = 0"])
def test_a_wrong_value_is_told(line: str) -> None:
    with pytest.raises(ConfigError, match=line.partition(" ")[0]):
        load_config(f"[usage]\n{line}\n", {}, lambda name: name)
