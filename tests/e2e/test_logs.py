"""The log of a real server under requests that fail in every way, with secrets in every place."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.provider import ANTHROPIC_KEY, OPENAI_KEY, Behavior, RecordingProvider
from fixtures.commands import Home
from fixtures.proxies import RoomProxy, running_proxy
from meshproxy_cli.tokens.apikey import ApiKey

PATH = "/rooms/my-room/openai/v1/responses"
BODY = "what-a-person-asked-the-model"
STRANGER = "sk-proj-somebody-elses-key-0123456789"
WRITTEN_OUT = "sk-ant-written-out-in-the-file-0123456789"
HEADERS = {"Meshagent-Session": "my session", "Content-Type": "application/json"}


@pytest.fixture
def proxy(tmp_path: Path, provider: RecordingProvider) -> Iterator[RoomProxy]:
    options = ("--log-format", "json", "--log-level", "debug", "--access-log", "--workers", "2")
    with running_proxy(Home(tmp_path / "proxy"), provider, *options) as running:
        yield running


def lines(proxy: RoomProxy) -> list[Any]:
    return [json.loads(line) for line in (proxy.home.root / "serve.log").read_text(encoding="utf-8").splitlines()]


def raw(proxy: RoomProxy, data: bytes) -> None:
    """Send bytes that need not be HTTP, and read what comes."""
    where = urlsplit(proxy.url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=20) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


def ask(proxy: RoomProxy, credential: str, body: str, **more: str) -> int:
    headers = {**HEADERS, "Authorization": f"Bearer {credential}", **more}
    try:
        return proxy.request("POST", PATH, headers, body.encode()).status
    except (OSError, http.client.HTTPException):
        return 0


def drive(proxy: RoomProxy, provider: RecordingProvider, token: str, foreign: ApiKey) -> None:
    """Let requests fail, each in its way."""
    good = json.dumps({"model": "gpt-5.4", "input": BODY})
    for credential in (STRANGER, proxy.key.encode(), foreign.encode(), token[:-3], token + "x", f"{token} {STRANGER}"):
        ask(proxy, credential, good)
    for body in (BODY, f'{{"model": "{STRANGER}", "input": "{BODY}"', f'{{"model": 1, "input": "{token}"}}'):
        ask(proxy, token, body)
    ask(proxy, token, good, **{"Content-Encoding": "gzip"})
    ask(proxy, token, good, **{"Meshagent-Session": STRANGER, "User-Agent": f"{proxy.key.encode()}/1.0"})
    ask(proxy, token, json.dumps({"model": STRANGER, "input": BODY}))
    ask(proxy, token, json.dumps({"model": "m", "previous_response_id": STRANGER, "input": BODY}))
    for behavior in (
        Behavior(status=500, error_message=f"{OPENAI_KEY} is wrong"),
        Behavior(status=401, error_message=f"Incorrect API key provided: {OPENAI_KEY}"),
        Behavior(fails_after=1),
        Behavior(closes_after=1),
    ):
        provider.next(behavior)
        ask(proxy, token, json.dumps({"model": "gpt-5.4", "input": BODY, "stream": True}))
    proxy.request("GET", f"{PATH}?api_key={STRANGER}&token={token}", {"x-api-key": STRANGER})
    proxy.request("GET", "/accounts/projects", {"Authorization": f"Bearer {token}"})
    proxy.request("POST", "/dashboard/login", {"Content-Type": "application/x-www-form-urlencoded"}, token.encode())
    websocket = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    proxy.request("GET", PATH, {**websocket, "Sec-WebSocket-Protocol": f"openai-insecure-api-key.{token}"})
    for data in (f"GET /{STRANGER}\r\n\r\n", f"POST {PATH} HTTP/1.1\r\nAuthorization Bearer {token}\r\n\r\n{BODY}"):
        raw(proxy, data.encode())


def test_nothing_of_requests_and_keys_gets_into_the_log(proxy: RoomProxy, provider: RecordingProvider) -> None:
    token, foreign = proxy.token("my-room"), ApiKey.generate(proxy.key.project_id)
    proxy.cli.guard(foreign.secret)
    drive(proxy, provider, token, foreign)
    file = proxy.home.state / "config" / "server.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'[providers.openai]\nkeys = ["{WRITTEN_OUT}"]\n', encoding="utf-8")
    proxy.cli("reload", code=2)
    assert until(lambda: {"(secret)"} & {one.get("session") for one in requests_in(proxy)}), "a secret that is in place"
    text = (proxy.home.root / "serve.log").read_text(encoding="utf-8")
    secrets = (OPENAI_KEY, ANTHROPIC_KEY, STRANGER, WRITTEN_OUT, token, proxy.key.secret, foreign.secret, BODY)
    assert [secret for secret in secrets if secret in text] == []


def test_each_line_is_an_object_and_each_request_of_a_caller_has_one(
    proxy: RoomProxy, provider: RecordingProvider
) -> None:
    token = proxy.token("my-room")
    drive(proxy, provider, token, ApiKey.generate(proxy.key.project_id))
    own = "the last one"
    assert ask(proxy, token, json.dumps({"model": "gpt-5.4", "input": BODY}), **{"Meshagent-Session": own}) == 200
    (ok,) = until(lambda: [one for one in requests_in(proxy) if one["session"] == own])
    found = (ok["message"], ok["room"], ok["participant"], ok["outcome"])
    assert found == ("POST /v1/responses 200", "my-room", "tester", "ok")
    assert until(lambda: len(requests_in(proxy)) == proxy.usage(requests=1)["totals"]["requests"])
    everything = lines(proxy)
    assert all(one.keys() >= {"time", "level", "process", "logger", "message"} for one in everything)
    ids = [one["request_id"] for one in requests_in(proxy)]
    assert len(ids) == len(set(ids)) > 5
    refused = [one for one in everything if one["message"] == "refused: token_malformed"]
    assert {(one["level"], one["status"], one["endpoint"]) for one in refused} == {("debug", 401, "/v1/responses")}
    assert all(one["request_id"].startswith("req_") for one in refused)
    assert "the Room Proxy listens" in {one["message"] for one in everything}


def requests_in(proxy: RoomProxy) -> list[Any]:
    return [one for one in lines(proxy) if one["logger"].endswith("access_log")]


def until(read: Callable[[], Any]) -> Any:
    """Read until there is something."""
    deadline = time.monotonic() + 30
    while not (found := read()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_for_people_without_access_log(tmp_path: Path, provider: RecordingProvider) -> None:
    with running_proxy(Home(tmp_path / "proxy"), provider) as proxy:
        assert ask(proxy, proxy.token("my-room"), json.dumps({"model": "gpt-5.4", "input": BODY})) == 200
        proxy.usage(requests=1)
        proxy.cli("reload")
        text = (proxy.home.root / "serve.log").read_text(encoding="utf-8")
        assert "Room Proxy on " in text
        assert " INFO server: the configuration was read again: nothing is new in it" in text
        assert "/v1/responses" not in text
        file = proxy.home.state / "config" / "server.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('[log]\nformat = "json"\naccess = true\n', encoding="utf-8")
        assert "log.format: people → json" in proxy.cli("reload").stdout
        assert ask(proxy, proxy.token("my-room"), json.dumps({"model": "gpt-5.4", "input": BODY})) == 200
        proxy.usage(requests=2)
        log = proxy.home.root / "serve.log"
        last = until(lambda: [line for line in log.read_text(encoding="utf-8").splitlines() if "/v1/responses" in line])
        assert json.loads(last[0])["message"] == "POST /v1/responses 200"
