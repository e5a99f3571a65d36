"""Bad input: a clear message in the asker's own error shape, nothing sent to the provider, nothing counted."""

import base64
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from e2e.provider import RecordingProvider
from fixtures.commands import Cli
from fixtures.proxies import Answer, RoomProxy
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

pytestmark = pytest.mark.e2e

ROOM = "bad-input"


@dataclass(frozen=True)
class Protocol:
    """How a client of one of the two providers asks."""

    name: str
    path: str
    body: bytes

    def headers(self, token: str | None, session: str | None = "bad") -> dict[str, str]:
        kept = {"Content-Type": "application/json"}
        if self.name == "anthropic":
            kept["anthropic-version"] = "2023-06-01"
        if token is not None:
            kept["Authorization"] = f"Bearer {token}"
        if session is not None:
            kept["Meshagent-Session"] = session
        return kept

    def message(self, answer: Answer) -> str:
        """Return the message of an error answer, which must have this provider's shape."""
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.headers["Meshproxy-Request-Id"]
        body = answer.json()
        if self.name == "anthropic":
            assert body["type"] == "error"
            assert body["error"]["type"].endswith("_error")
        else:
            assert set(body) == {"error"}
            assert body["error"]["code"]
        return str(body["error"]["message"])


OPENAI = Protocol("openai", f"/rooms/{ROOM}/openai/v1/responses", b'{"model":"gpt-5.4","input":"ping"}')
ANTHROPIC = Protocol(
    "anthropic",
    f"/rooms/{ROOM}/anthropic/v1/messages",
    b'{"model":"claude-sonnet-4-6","max_tokens":9,"messages":[{"role":"user","content":"ping"}]}',
)
both = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC], ids=lambda protocol: protocol.name)


@dataclass
class Door:
    """The shared proxy, asked for one room; keeps tokens that are wrong in one way each."""

    proxy: RoomProxy

    def ask(self, protocol: Protocol, token: str | None, **more: Any) -> Answer:
        headers = protocol.headers(token, more.pop("session", "bad"))
        return self.proxy.request("POST", more.get("path", protocol.path), headers, more.get("body", protocol.body))

    def assert_refused(self, protocol: Protocol, answer: Answer, status: int, *says: str) -> None:
        message = protocol.message(answer)
        assert answer.status == status, message
        for words in says:
            assert words.lower() in message.lower()
        assert self.proxy.provider.requests == []
        self.proxy.cli.check(message, "an error message")

    def mint(
        self, *, key: ApiKey | None = None, room: str = ROOM, age_s: int = 0, expires_in: int | None = None
    ) -> str:
        now = int(time.time()) - age_s
        return mint(TokenSpec.for_room("tester", room), key or self.proxy.key, now=now, expires_in=expires_in)


@pytest.fixture
def door(room_proxy: RoomProxy) -> Door:
    room_proxy.provider.forget()
    return Door(room_proxy)


@both
def test_a_good_token_is_let_in(door: Door, protocol: Protocol) -> None:
    assert door.ask(protocol, door.mint()).status == 200
    assert len(door.proxy.provider.requests) == 1


@both
def test_no_token(door: Door, protocol: Protocol) -> None:
    door.assert_refused(protocol, door.ask(protocol, None), 401, "token")


@both
def test_no_jwt_at_all(door: Door, protocol: Protocol) -> None:
    door.assert_refused(protocol, door.ask(protocol, "sk-my-own-provider-key"), 401, "participant token")


@both
def test_a_token_of_an_unknown_key(door: Door, protocol: Protocol) -> None:
    stranger = ApiKey.generate(door.proxy.key.project_id)
    door.assert_refused(protocol, door.ask(protocol, door.mint(key=stranger)), 401, "key")


@both
def test_a_token_with_a_wrong_signature(door: Door, protocol: Protocol) -> None:
    forger = replace(door.proxy.key, secret="x" * len(door.proxy.key.secret))
    door.assert_refused(protocol, door.ask(protocol, door.mint(key=forger)), 401, "signature")


@both
def test_a_token_for_another_room(door: Door, protocol: Protocol) -> None:
    token = door.mint(room="elsewhere")
    door.assert_refused(protocol, door.ask(protocol, token), 403, "elsewhere", ROOM)


@both
def test_an_expired_token(door: Door, protocol: Protocol) -> None:
    door.assert_refused(protocol, door.ask(protocol, door.mint(age_s=7200, expires_in=3600)), 401, "expired")


@both
def test_a_token_without_a_signature(door: Door, protocol: Protocol) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    token = f"{header}.{door.mint().split('.')[1]}."
    door.assert_refused(protocol, door.ask(protocol, token), 401)


@both
def test_a_revoked_key(door: Door, protocol: Protocol) -> None:
    made = ApiKey.parse(door.proxy.cli("api-key", "create", "short-lived").stdout.strip())
    token = door.mint(key=made)
    assert door.ask(protocol, token).status == 200
    door.proxy.cli("api-key", "revoke", made.id, "--yes")
    door.proxy.provider.forget()

    deadline = time.monotonic() + 10
    while (answer := door.ask(protocol, token)).status == 200 and time.monotonic() < deadline:
        door.proxy.provider.forget()
        time.sleep(0.05)

    door.assert_refused(protocol, answer, 401, "revoked")


@both
def test_no_session(door: Door, protocol: Protocol) -> None:
    door.assert_refused(protocol, door.ask(protocol, door.mint(), session=None), 400, "Meshagent-Session")


@both
@pytest.mark.parametrize("rest", ["/v1/nothing", "/v1/files", "/v2/responses"])
def test_an_unknown_path(door: Door, protocol: Protocol, rest: str) -> None:
    path = f"/rooms/{ROOM}/{protocol.name}{rest}"
    door.assert_refused(protocol, door.ask(protocol, door.mint(), path=path), 404, rest)


@both
@pytest.mark.parametrize("body", [b"", b"hello", b'{"model":', b"[]", b'{"model":"a","model":"b"}'])
def test_a_body_that_is_no_request(door: Door, protocol: Protocol, body: bytes) -> None:
    door.assert_refused(protocol, door.ask(protocol, door.mint(), body=body), 400)


def test_refusals_use_no_tokens(door: Door) -> None:
    for protocol in (OPENAI, ANTHROPIC):
        path = protocol.path.replace(ROOM, "refused-room")
        assert door.ask(protocol, door.mint(), path=path).status == 403
        assert door.ask(protocol, door.mint(room="refused-room"), path=path).status == 200
    report = door.proxy.usage("--room", "refused-room", requests=2)
    reported = door.proxy.provider.reported
    assert report["totals"]["input_tokens"] == sum(numbers.input_tokens for numbers in reported)
    assert report["totals"]["output_tokens"] == sum(numbers.output_tokens for numbers in reported)


StartProxy = Callable[..., AbstractContextManager[RoomProxy]]


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_provider_that_is_down(start_proxy: StartProxy) -> None:
    nowhere = f"http://127.0.0.1:{_closed_port()}"
    with start_proxy(environ={"OPENAI_BASE_URL": f"{nowhere}/v1", "ANTHROPIC_BASE_URL": nowhere}) as proxy:
        proxy.provider.forget()
        door = Door(proxy)
        for protocol in (OPENAI, ANTHROPIC):
            answer = door.ask(protocol, door.mint())
            door.assert_refused(protocol, answer, 502, protocol.name)
        report = proxy.usage("--room", ROOM, requests=2)
    assert (report["totals"]["input_tokens"], report["totals"]["failed_requests"]) == (0, 2)


def test_a_provider_that_refuses_is_quoted(door: Door, provider: RecordingProvider) -> None:
    provider.next(behaviour_429 := replace(provider.behavior, status=429, error_code="slow_down"))
    answer = door.ask(OPENAI, door.mint())
    assert (answer.status, answer.json()["error"]["message"]) == (429, behaviour_429.error_message)
    assert answer.json()["error"]["code"] == "slow_down"


BAD_COMMANDS: Mapping[str, tuple[tuple[str, ...], int, str]] = {
    "unknown command": (("tokne",), 2, "token"),
    "no room": (("token", "get"), 2, "--room"),
    "no spec file": (("token", "generate", "--spec", "missing.yaml"), 6, "missing.yaml"),
    "no key": (("token", "get", "--room", "r"), 3, "key"),
    "no such agent": (("configure", "emacs", "--room", "r"), 2, "emacs"),
    "no server": (("usage", "--server", "nowhere"), 6, "nowhere"),
    "server away": (("usage", "--server", "http://127.0.0.1:9"), 3, "token"),
}


@pytest.mark.parametrize(("arguments", "code", "says"), BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_commands_refuse_clearly(cli: Cli, arguments: tuple[str, ...], code: int, says: str) -> None:
    result = cli(*arguments, code=code)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_a_spec_with_a_misspelt_grant_signs_nothing(room_proxy: RoomProxy) -> None:
    spec = room_proxy.home.root / "bad.yaml"
    spec.write_text("version: v1\nkind: ParticipantToken\nidentity: a\nroom: r\napi:\n  lm: {}\n", encoding="utf-8")
    result = room_proxy.cli("token", "generate", "--spec", str(spec), code=2)
    assert result.stdout == ""
    assert "bad.yaml:6" in result.stderr
    assert "llm" in result.stderr


def test_a_port_that_is_taken(room_proxy: RoomProxy, cli: Cli) -> None:
    port = room_proxy.url.rpartition(":")[2]
    result = cli("serve", "--port", port, code=5)
    assert port in result.stderr
