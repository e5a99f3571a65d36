"""The main job with the users' real clients: Codex and Claude Code, as `configure` leaves them, through a room."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from e2e.accounts import reported_totals, totals_of
from e2e.provider import ANTHROPIC_KEY, OPENAI_KEY, Recorded, RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from fixtures.proxies import RoomProxy

pytestmark = pytest.mark.e2e

CODEX = "gpt-5.4"
CLAUDE = "claude-sonnet-4-6"


@pytest.fixture(autouse=True)
def _fresh_records(provider: RecordingProvider) -> None:
    provider.forget()


def assert_nothing_of_ours_went_out(cli: Cli, requests: list[Recorded]) -> None:
    """Check that the provider saw neither a participant token nor the session, nor any key of ours."""
    assert requests
    for request in requests:
        cli.check(request.text().replace(OPENAI_KEY, "").replace(ANTHROPIC_KEY, ""), "a request to the provider")
        assert "eyJ" not in "".join(value for _, value in request.headers)
        assert not [name for name, _ in request.headers if name.lower().startswith("meshagent-")]


def assert_usage_adds_up(proxy: RoomProxy, room: str) -> None:
    reported = proxy.provider.reported
    report = proxy.usage("--room", room, requests=len(reported))
    assert totals_of(report) == reported_totals(reported)


@dataclass
class Machine:
    """A developer's machine: a HOME of its own with some agents on the PATH, signed in to the shared proxy."""

    proxy: RoomProxy
    agents: Agents
    home: Home
    environ: dict[str, str]

    def configure(self, *arguments: str) -> None:
        Cli(self.home, self.proxy.cli.secrets)("configure", *arguments, "--yes", environ=self.environ)

    def ask(self, agent: str, *arguments: str) -> str:
        done = self.agents.run(self.home, agent, *arguments, environ=self.environ)
        self.proxy.cli.check(done.stdout + done.stderr, f"the output of {agent}")
        assert done.code == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def machine(room_proxy: RoomProxy, agents: Agents, request: pytest.FixtureRequest) -> Callable[..., Machine]:
    """Return a function that makes a machine with the named agents."""

    def make(*names: str) -> Machine:
        home = room_proxy.home.with_user(request.node.name)
        return Machine(room_proxy, agents, home, agents.path(home, *names))

    return make


CODEX_EXEC = ("exec", "--skip-git-repo-check", "--profile", "meshproxy")


@pytest.mark.parametrize("release", ["codex", "codex-old"])
def test_codex_answers_through_the_room(machine: Callable[..., Machine], release: str) -> None:
    developer = machine(release)
    developer.configure("codex", "--room", f"{release}-room", "--model", CODEX)

    assert developer.ask(release, *CODEX_EXEC, "ping") == "The provider heard: ping"

    requests = developer.proxy.provider.requests
    asked = [request for request in requests if request.path == "/v1/responses"]
    assert [request.json()["stream"] for request in asked] == [True]
    assert asked[0].all_of("Authorization") == [f"Bearer {OPENAI_KEY}"]
    assert_nothing_of_ours_went_out(developer.proxy.cli, requests)
    assert_usage_adds_up(developer.proxy, f"{release}-room")


def test_codex_answers_over_a_websocket(machine: Callable[..., Machine]) -> None:
    developer = machine("codex")
    developer.configure("codex", "--room", "websocket-room", "--model", CODEX)
    over_websockets = ("-c", "model_providers.meshproxy.supports_websockets=true")

    assert developer.ask("codex", *CODEX_EXEC, *over_websockets, "ping") == "The provider heard: ping"

    provider = developer.proxy.provider
    assert [request.path for request in provider.requests if request.messages] == ["/v1/responses"]
    assert [request for request in provider.requests if request.method == "POST"] == []
    assert_nothing_of_ours_went_out(developer.proxy.cli, provider.requests)
    report = developer.proxy.usage("--room", "websocket-room", requests=len(provider.reported))
    assert report["totals"]["input_tokens"] == reported_totals(provider.reported)["input_tokens"]
    assert report["totals"]["output_tokens"] == reported_totals(provider.reported)["output_tokens"]


def test_claude_code_answers_through_the_room(machine: Callable[..., Machine]) -> None:
    developer = machine("claude")
    developer.configure("claude", "--room", "claude-room", "--model", CLAUDE)

    answer = json.loads(developer.ask("claude", "-p", "ping", "--output-format", "json"))

    assert answer["result"] == "The provider heard: ping"
    requests = developer.proxy.provider.requests
    asked = [request for request in requests if request.path == "/v1/messages"]
    assert {request.json()["stream"] for request in asked} == {True}
    assert {request.header("x-api-key") for request in asked} == {ANTHROPIC_KEY}
    assert {request.header("Authorization") for request in asked} == {None}
    assert {tuple(request.query["beta"]) for request in asked} == {("true",)}
    assert_nothing_of_ours_went_out(developer.proxy.cli, requests)
    assert_usage_adds_up(developer.proxy, "claude-room")


def test_no_secret_is_written_to_a_configuration_file(machine: Callable[..., Machine]) -> None:
    developer = machine("codex", "claude")
    for agent in ("codex", "claude"):
        developer.configure(agent, "--room", "quiet-room")

    written = [file for file in developer.home.directory.rglob("*") if file.is_file() and "bin" not in file.parts]
    assert {"config.toml", "settings.json"} <= {file.name for file in written}
    for file in written:
        developer.proxy.cli.check(file.read_text(encoding="utf-8", errors="replace"), str(file))


def test_usage_is_shown_by_room_session_and_model(machine: Callable[..., Machine]) -> None:
    developer = machine("codex")
    developer.configure("codex", "--room", "grouped-room", "--model", CODEX, "--session", "codex-ci")
    for prompt in ("one", "two"):
        developer.ask("codex", *CODEX_EXEC, prompt)

    report = developer.proxy.usage("--room", "grouped-room", "--by", "room,session,model", requests=2)

    [row] = report["rows"]
    assert (row["room"], row["session"], row["model"], row["requests"]) == ("grouped-room", "codex-ci", CODEX, 2)
    table = developer.proxy.cli("usage", "--room", "grouped-room").stdout
    assert "grouped-room" in table
    assert "codex-ci" in table
