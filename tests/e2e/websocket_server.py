"""A Room Proxy in front of a websocket provider of which a test is in charge."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from e2e.provider import RecordingProvider
from e2e.websocket_peers import (
    Peer,
    Provider,
    call,
    switch,
)
from fixtures.commands import Home
from fixtures.proxies import RoomProxy, running_proxy
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec, parse_spec

MIB = 2**20
CONFIG = """
[providers.openai]
base_url = "{provider}/v1"
keys = ["env:OPENAI_API_KEY"]
[limits]
max_body_mib = 1
"""
RESPONSES, REALTIME = "/openai/v1/responses", "/openai/v1/realtime?model=gpt-realtime"
NARROW = """
version: v1
kind: ParticipantToken
identity: tester
room: ROOM
api: {llm: {models: [openai/gpt-5.4, openai/gpt-realtime]}}
"""


class Stage:
    """A Room Proxy in front of a provider of which the test is in charge."""

    def __init__(self, proxy: RoomProxy, provider: Provider) -> None:
        self.proxy = proxy
        self.provider = provider

    def token(self, room: str, *, narrow: bool = False, key: ApiKey | None = None) -> str:
        spec = parse_spec(NARROW.replace("ROOM", room)) if narrow else TokenSpec.for_room("tester", room)
        return mint(spec, key or self.proxy.key, now=int(time.time()))

    def call(self, room: str, *fields: str, path: str = RESPONSES, narrow: bool = False, **options: Any) -> Peer:
        return call(self.proxy.url, f"/rooms/{room}{path}", self.token(room, narrow=narrow), *fields, **options)

    @contextmanager
    def connected(self, room: str, **options: Any) -> Iterator[tuple[Peer, Peer]]:
        """Return the client's and the provider's end of a websocket."""
        with self.call(room, **options) as client:
            _, provider = self.provider.meet()
            with provider:
                provider.send(switch())
                assert client.head().startswith("HTTP/1.1 101 ")
                yield client, provider

    def events(self, room: str, number: int) -> list[dict[str, Any]]:
        """Return the room's events once there are as many, in the order of their begin."""
        deadline = time.monotonic() + 30
        while True:
            exported = self.proxy.cli("usage", "export", "--room", room).stdout.splitlines()
            if len(exported) >= number or time.monotonic() > deadline:
                return sorted(map(json.loads, exported), key=lambda event: str(event["started_at"]))
            time.sleep(0.1)


@contextmanager
def staged(home: Home, recording: RecordingProvider, *options: str) -> Iterator[Stage]:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        provider = Provider(listener)
        config = home.root / "server.toml"
        config.write_text(CONFIG.format(provider=provider.origin), encoding="utf-8")
        with running_proxy(home, recording, "--config", str(config), *options) as proxy:
            yield Stage(proxy, provider)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.05)


def columns(event: dict[str, Any]) -> tuple[Any, ...]:
    names = ("outcome", "model_requested", "model_served", "input_tokens", "output_tokens")
    return tuple(event[name] for name in names)
