"""Every agent that installs here: configured by the tool, answering through a room, and undone to the byte."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.provider import RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from fixtures.proxies import RoomProxy

pytestmark = pytest.mark.e2e

GPT = "gpt-5.4"
CLAUDE = "claude-sonnet-4-6"
CONFIG = '# my own\nmodel_reasoning_effort = "low"  # cheap\r\n\n[features]\nshell_tool = true # keep'
SETTINGS = '{ "theme": "dark",\n\t"env": {"MINE": "ünï"} }'


@dataclass(frozen=True)
class Case:
    """An agent, its files from before, the options of `configure`, and how it is asked without a window."""

    agent: str
    files: dict[str, str]
    options: tuple[str, ...]
    ask: tuple[str, ...]
    path: str  # what the provider is asked for
    environ: tuple[tuple[str, str], ...] = ()
    token: bool = False  # whether the agent takes its token from a variable


CODEX_ASK = ("exec", "--skip-git-repo-check")
PI = (("PI_OFFLINE", "1"),)
PI_ASK = ("-p", "--provider", "meshproxy", "--model")
CODEX_FILES = {".codex/config.toml": CONFIG}
OPENCODE_FILES = {".config/opencode/opencode.json": '{"$schema": "https://opencode.ai/config.json"}\n'}
CASES = {
    "codex": Case(
        "codex",
        CODEX_FILES,
        ("--model", GPT),
        (*CODEX_ASK, "--strict-config", "--profile", "meshproxy", "ping"),
        "/v1/responses",
    ),
    "codex-default": Case(
        "codex", CODEX_FILES, ("--model", GPT, "--default"), (*CODEX_ASK, "--strict-config", "ping"), "/v1/responses"
    ),
    "codex-standalone": Case(
        "codex",
        CODEX_FILES,
        ("--model", GPT, "--standalone"),
        (*CODEX_ASK, "--strict-config", "--profile", "meshproxy", "ping"),
        "/v1/responses",
    ),
    "codex-old": Case(
        "codex-old", CODEX_FILES, ("--model", GPT), (*CODEX_ASK, "--profile", "meshproxy", "ping"), "/v1/responses"
    ),
    "codex-env": Case(
        "codex",
        {},
        ("--model", GPT, "--credentials", "env"),
        (*CODEX_ASK, "--strict-config", "--profile", "meshproxy", "ping"),
        "/v1/responses",
        token=True,
    ),
    "claude": Case("claude", {".claude/settings.json": SETTINGS}, ("--model", CLAUDE), ("-p", "ping"), "/v1/messages"),
    "claude-project": Case("claude", {}, ("--model", CLAUDE, "--project"), ("-p", "ping"), "/v1/messages"),
    "claude-env": Case(
        "claude", {}, ("--model", CLAUDE, "--credentials", "env"), ("-p", "ping"), "/v1/messages", token=True
    ),
    "pi-openai": Case("pi", {}, ("--model", GPT), (*PI_ASK, GPT, "ping"), "/v1/responses", PI),
    "pi-anthropic": Case("pi", {}, ("--model", CLAUDE), (*PI_ASK, CLAUDE, "ping"), "/v1/messages", PI),
    "opencode-openai": Case(
        "opencode",
        OPENCODE_FILES,
        ("--model", GPT),
        ("run", "--model", f"meshproxy/{GPT}", "ping"),
        "/v1/chat/completions",
        token=True,
    ),
    "opencode-anthropic": Case(
        "opencode",
        OPENCODE_FILES,
        ("--model", CLAUDE, "--default"),
        ("run", "ping"),
        "/v1/messages",
        token=True,
    ),
}
LAUNCHES = {
    "codex": Case("codex", {}, ("--model", GPT), (*CODEX_ASK, "--strict-config", "ping"), "/v1/responses"),
    "claude": Case("claude", {}, ("--model", CLAUDE), ("-p", "ping"), "/v1/messages"),
    "pi": Case("pi", {}, ("--model", GPT), ("-p", "ping"), "/v1/responses", PI),
    "opencode": Case("opencode", {}, ("--model", GPT), ("run", "ping"), "/v1/chat/completions"),
}


@dataclass
class Developer:
    """A HOME with one agent on the PATH, signed in to the shared proxy."""

    proxy: RoomProxy
    agents: Agents
    home: Home
    case: Case
    environ: dict[str, str]

    def meshproxy(self, *arguments: str) -> str:
        cli = Cli(self.home, self.proxy.cli.secrets)
        return cli(*arguments, environ=self.environ, cwd=self.workspace).stdout

    @property
    def workspace(self) -> Path:
        directory = self.home.directory / "workspace"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    @property
    def name(self) -> str:
        return self.case.agent.removesuffix("-old")

    def write(self) -> None:
        for name, text in self.case.files.items():
            path = self.home.directory / name
            path.parent.mkdir(parents=True)
            path.write_bytes(text.encode())

    def settings(self) -> dict[str, bytes]:
        """Return the files that agents take their settings from, and whatever is ours by name."""
        known = {"config.toml", "settings.json", "settings.local.json", "models.json", "opencode.json"}
        return {
            str(path.relative_to(self.home.directory)): path.read_bytes()
            for path in self.home.directory.rglob("*")
            if path.is_file() and (path.name in known or "meshproxy" in path.name)
        }

    def asked(self) -> list[str]:
        """Return the paths of the model requests that reached the provider."""
        return [request.path for request in self.proxy.provider.requests if request.method == "POST"]


@pytest.fixture
def develop(
    room_proxy: RoomProxy, agents: Agents, provider: RecordingProvider, request: pytest.FixtureRequest
) -> Callable[[Case], Developer]:
    """Return what makes a developer for a case."""

    def make(case: Case) -> Developer:
        provider.forget()
        # pi and opencode scan what lies around them: the name of the directory is kept plain.
        home = room_proxy.home.with_user("".join(c if c.isalnum() else "-" for c in request.node.name))
        return Developer(room_proxy, agents, home, case, agents.path(home, case.agent) | dict(case.environ))

    return make


@pytest.mark.parametrize("name", CASES)
def test_configured_agent_answers_and_is_undone(develop: Callable[[Case], Developer], name: str) -> None:
    developer = develop(CASES[name])
    case, room = developer.case, f"{name}-room"
    developer.write()
    before = developer.settings()
    arguments = ("configure", developer.name, "--room", room, *case.options)

    developer.meshproxy(*arguments, "--dry-run")
    assert developer.settings() == before
    developer.meshproxy(*arguments, "--yes")
    written = developer.settings()
    assert written != before
    developer.meshproxy(*arguments, "--yes")
    assert developer.settings() == written

    token = developer.meshproxy("token", "get", "--room", room).strip() if case.token else ""
    developer.proxy.provider.forget()
    environ = developer.environ | ({"MESHAGENT_ROOM_TOKEN": token} if token else {})
    done = developer.agents.run(developer.home, case.agent, *case.ask, environ=environ)
    assert done.code == 0, done.stderr
    assert "The provider heard:" in done.stdout
    assert case.path in developer.asked()
    report = developer.proxy.usage("--room", room, requests=1)
    assert report["totals"]["requests"] >= 1

    developer.meshproxy(
        "configure", developer.name, "--undo", "--yes", *(("--project",) * ("--project" in case.options))
    )
    assert developer.settings() == before


@pytest.mark.parametrize("name", LAUNCHES)
def test_launched_agent_answers_and_nothing_is_written(develop: Callable[[Case], Developer], name: str) -> None:
    developer = develop(LAUNCHES[name])
    developer.agents.run(developer.home, name, "--version", environ=developer.environ)
    before = developer.settings()

    answer = developer.meshproxy(
        "launch", name, "--room", f"{name}-launched", *developer.case.options, "--", *developer.case.ask
    )

    assert "The provider heard:" in answer
    assert developer.case.path in developer.asked()
    # An agent may make its own files on its first run; none of them knows of the room.
    after = developer.settings()
    assert [file for file, data in after.items() if b"meshproxy" in data or b"launched" in data] == []
    assert {file: data for file, data in after.items() if file in before} == before


def test_exit_code_of_a_launched_agent_is_its_own(develop: Callable[[Case], Developer]) -> None:
    developer = develop(LAUNCHES["codex"])
    cli = Cli(developer.home, developer.proxy.cli.secrets)
    done = cli("launch", "codex", "--room", "r", "--", "exec", "--no-such-flag", code=None, environ=developer.environ)
    direct = developer.agents.run(developer.home, "codex", "exec", "--no-such-flag")
    assert done.code == direct.code != 0


def test_leftovers_of_the_old_form_are_moved_and_come_back(develop: Callable[[Case], Developer]) -> None:
    config = 'profile = "work"\n\n[profiles.work]\nmodel = "gpt-5.4" # mine\n[profiles.work.features]\n\n[tools]\n'
    case = Case(
        "codex", {".codex/config.toml": config}, ("--model", GPT), (*CODEX_ASK, "--profile", "meshproxy", "ping"), ""
    )
    developer = develop(case)
    developer.write()
    before = developer.settings()
    refused = developer.agents.run(developer.home, "codex", *case.ask, environ=developer.environ)
    assert refused.code != 0

    developer.meshproxy("configure", "codex", "--room", "moved-room", *case.options, "--yes")
    done = developer.agents.run(developer.home, "codex", *case.ask, environ=developer.environ)
    assert "The provider heard: ping" in done.stdout
    profile = developer.home.directory / ".codex" / "work.config.toml"
    assert profile.read_text() == 'model = "gpt-5.4"\nfeatures = {}\n'

    developer.meshproxy("configure", "codex", "--undo", "--yes")
    assert developer.settings() == before
    assert not (developer.home.directory / ".codex" / "work.config.toml").exists()
