"""Plays for the data path, between a client and a provider that are both the test's own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from proxy.gateway_server import Asked, Bench, bench, provider, read_request, run

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
ANSWER = json.dumps({
    "id": "resp_1", "object": "response", "model": "gpt-5.4-2026", "usage": {"input_tokens": 7, "output_tokens": 3},
}).encode()  # fmt: skip
CREATED = b'event: response.created\ndata: {"type":"response.created"}\n\n'


def openai(port: int, *, host: str = "127.0.0.1", keys: str = '"one"', scheme: str = "http", more: str = "") -> str:
    return f'[providers.openai]\nbase_url="{scheme}://{host}:{port}/v1"\nkeys=[{keys}]\n{more}\n'


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Answers:
    """A provider that keeps what it is asked, and answers each request with the next of its answers."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[Asked] = []
        self.connections = 0

    async def __call__(self, reader: Reader, writer: Writer) -> None:
        self.connections += 1
        while True:
            self.asked.append(await read_request(reader))
            writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
            await writer.drain()


def play(tmp_path: Path, serve: Callable[[Reader, Writer], Awaitable[None]], test: Callable[[Bench], Awaitable[None]],
         more: str = "", keys: str = '"one"', *, anthropic: bool = False) -> None:  # fmt: skip
    """Run a test against a gateway before that provider, which is Anthropic's too if `anthropic` says so."""

    async def whole() -> None:
        async with provider(serve) as port:
            second = f'[providers.anthropic]\nbase_url="http://127.0.0.1:{port}"\nkeys=["two"]\n' if anthropic else ""
            async with bench(tmp_path, openai(port, more=more, keys=keys) + second) as running:
                await test(running)

    run(whole())
