"""What every agent has in common: one suite that each of them passes."""

import json
from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.base import DIRECTORY, Agent
from meshproxy_cli.agents.registry import AGENTS, find_agent
from meshproxy_cli.agents.snippets import SnippetAgent
from meshproxy_cli.errors import UsageError

EDITED = [agent for agent in AGENTS if not isinstance(agent, SnippetAgent)]
PASTED = [agent for agent in AGENTS if isinstance(agent, SnippetAgent)]
MODELS = ["gpt-5.4", "claude-sonnet-4-6"]


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


@pytest.mark.parametrize("agent", EDITED, ids=lambda agent: agent.name)
@pytest.mark.parametrize("model", MODELS)
def test_configured_twice_and_undone(bench: Workbench, agent: Agent, model: str) -> None:
    options = {"env_file": bench.home / ".env"} if agent.name == "aider" and "claude" in model else {}
    before = bench.files()
    plan = bench.configure(agent, model=model, **options)
    assert plan.changes
    assert not bench.configure(agent, model=model, **options).changes
    everything = b"".join(bench.files().values())
    assert b"Meshagent-Session" in everything
    assert b"/rooms/my-room/" in everything
    bench.undo(agent)
    assert bench.files() == before
    assert list(bench.home.iterdir()) == []


@pytest.mark.parametrize("agent", EDITED, ids=lambda agent: agent.name)
def test_launch_names_room_and_session_and_no_secret(bench: Workbench, agent: Agent) -> None:
    run = agent.launch(bench.target(agent.name, model="gpt-5.4", token="eyJ.s.t"), ("--flag", "x"))
    told = " ".join([*run.arguments, *run.environ.values(), *(run.files or {}).values()])
    assert run.arguments[0] == agent.program
    assert run.arguments[-2:] == ("--flag", "x")
    assert f"{agent.name}-laptop" in told
    assert "my-room/openai/v1" in told or "my-room/anthropic" in told
    assert "eyJ" not in told
    assert (DIRECTORY in " ".join([*run.arguments, *run.environ.values()])) == bool(run.files)
    assert bench.files() == {}


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)
def test_snippets_name_the_room_and_no_secret(bench: Workbench, agent: Agent) -> None:
    text = agent.snippet(bench.target(agent.name, model="gpt-5.4", token="eyJ.s.t"))
    assert "Meshagent-Session" in text
    assert f"{agent.name}-laptop" in text
    assert "eyJ" not in text


@pytest.mark.parametrize("agent", PASTED, ids=lambda agent: agent.name)
def test_what_is_pasted_is_neither_edited_nor_launched(bench: Workbench, agent: Agent) -> None:
    with pytest.raises(UsageError) as problem:
        bench.plan(agent)
    assert "--print" in str(problem.value.hint)
    with pytest.raises(UsageError):
        agent.launch(bench.target(agent.name), ())


@pytest.mark.parametrize("name", ["pi", "crush", "opencode", "goose", "aider", "zed"])
def test_agents_that_must_be_told_the_model(bench: Workbench, name: str) -> None:
    with pytest.raises(UsageError) as problem:
        find_agent(name).snippet(bench.target(name))
    assert problem.value.hint == "add --model NAME"


def test_an_unknown_agent_is_told_the_known_ones() -> None:
    with pytest.raises(UsageError) as problem:
        find_agent("cursor")
    assert "codex, claude, pi" in str(problem.value.hint)


def test_crush_keeps_the_persons_own_settings_for_one_run(bench: Workbench) -> None:
    path = bench.home / ".config" / "crush" / "crush.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"lsp": {"go": {"command": "gopls"}}}')
    run = find_agent("crush").launch(bench.target("crush", model="gpt-5.4"), ())
    config = json.loads((run.files or {})["crush.json"])
    assert config["lsp"] == {"go": {"command": "gopls"}}
    assert config["models"]["large"] == {"provider": "meshproxy", "model": "gpt-5.4"}
    assert config["providers"]["meshproxy"]["api_key"].startswith("$('/opt/mesh proxy/")


def test_a_provider_of_somebody_else_is_not_touched(bench: Workbench) -> None:
    path = bench.home / ".pi" / "agent" / "models.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"providers": {"meshproxy": {"baseUrl": "http://theirs"}}}')
    with pytest.raises(Exception, match="did not write"):
        bench.configure(find_agent("pi"), model="m")


def test_aider_joins_yaml_that_is_there(bench: Workbench) -> None:
    path = bench.home / ".aider.conf.yml"
    path.write_text("dark-mode: true # mine\n")
    bench.configure(find_agent("aider"), model="gpt-5.4", make_default=True)
    assert path.read_text().startswith("dark-mode: true # mine\n\n# >>> meshproxy meshproxy >>>\nopenai-api-base:")
    bench.undo(find_agent("aider"))
    assert bench.files() == {".aider.conf.yml": b"dark-mode: true # mine\n"}


def test_goose_says_what_its_variables_can_not_hold(bench: Workbench) -> None:
    goose = find_agent("goose")
    with pytest.raises(UsageError, match="custom header"):
        goose.launch(bench.target("goose", model="claude-x"), ())
    with pytest.raises(UsageError, match="takes no"):
        goose.launch(bench.target("goose", model="gpt-5", session="a=b"), ())
