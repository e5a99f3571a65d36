"""Agents with a provider in a file: what they are given, that undo gives back every byte, and what is refused."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.base import Agent, Credentials
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.configedit.plan import OwnedByOtherError
from meshproxy_cli.errors import UsageError

OPENAI = "http://127.0.0.1:8765/rooms/my-room/openai/v1"
ANTHROPIC = "http://127.0.0.1:8765/rooms/my-room/anthropic"
GPT, CLAUDE = "gpt-5.4", "claude-sonnet-4-6"
FILES = {
    "pi": ".pi/agent/models.json",
    "opencode": ".config/opencode/opencode.json",
    "crush": ".config/crush/crush.json",
    "goose": ".config/goose/custom_providers/meshproxy.json",
    "aider": ".aider.conf.yml",
}
JSON_AGENTS = ("pi", "opencode", "crush", "goose")
THEIRS = b'{\r\n\t// mine\r\n\t"theirs": [1, 2], "deep": {"x": "\xc3\xbc"}\r\n}'


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def written(bench: Workbench, agent: Agent, **changes: Any) -> Any:
    """Return the entry of the provider after a `configure`."""
    bench.configure(agent, **changes)
    values = json.loads((bench.home / FILES[agent.name]).read_bytes())
    return values if agent.name == "goose" else next(iter(values.values()))["meshproxy"]


def test_pi_runs_our_command(bench: Workbench) -> None:
    entry = written(bench, find_agent("pi"), model=GPT)
    assert entry["api"] == "openai-responses"
    assert entry["baseUrl"] == OPENAI
    assert shlex.split(entry["apiKey"].removeprefix("!"))[0] == "/opt/mesh proxy/bin/meshproxy"
    assert entry["headers"] == {"Meshagent-Session": "pi-laptop"}
    assert entry["models"] == [{"id": GPT}]


def test_crush_runs_our_command(bench: Workbench) -> None:
    entry = written(bench, find_agent("crush"), model=CLAUDE)
    assert (entry["type"], entry["base_url"]) == ("anthropic", ANTHROPIC)
    assert entry["api_key"].startswith("$('/opt/mesh proxy/bin/meshproxy' token get")
    assert entry["extra_headers"] == {"Meshagent-Session": "crush-laptop"}


def test_opencode_reads_a_variable(bench: Workbench) -> None:
    options = written(bench, find_agent("opencode"), model=GPT)["options"]
    assert options == {
        "baseURL": OPENAI,
        "apiKey": "{env:MESHAGENT_ROOM_TOKEN}",
        "headers": {"Meshagent-Session": "opencode-laptop"},
    }


def test_goose_gets_a_file_of_its_own(bench: Workbench) -> None:
    entry = written(bench, find_agent("goose"), model=GPT)
    assert entry["base_url"] == f"{OPENAI}/chat/completions"
    assert entry["api_key_env"] == "MESHAGENT_ROOM_TOKEN"
    assert entry["headers"] == {"Meshagent-Session": "goose-laptop"}


def test_aider_gets_the_url_and_the_header(bench: Workbench) -> None:
    bench.configure(find_agent("aider"), model=GPT)
    assert f'openai-api-base: "{OPENAI}"\n' in (bench.home / ".aider.conf.yml").read_text(encoding="utf-8")
    settings = (bench.home / ".aider.model.settings.yml").read_text(encoding="utf-8")
    assert '- name: "openai/gpt-5.4"\n' in settings
    assert '"Meshagent-Session": "aider-laptop"\n' in settings


@pytest.mark.parametrize("name", FILES)
def test_undo_leaves_no_trace(bench: Workbench, name: str) -> None:
    agent = find_agent(name)
    bench.configure(agent, model=GPT)
    assert not bench.configure(agent, model=GPT).changes
    bench.undo(agent)
    assert list(bench.home.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in JSON_AGENTS if name != "goose"])
@pytest.mark.parametrize("model", [GPT, CLAUDE])
def test_a_file_with_other_things_in_it_comes_back(bench: Workbench, name: str, model: str) -> None:
    path = bench.home / FILES[name]
    path.parent.mkdir(parents=True)
    path.write_bytes(THEIRS)
    bench.configure(find_agent(name), model=model)
    after = path.read_bytes()
    assert b"meshproxy" in after
    assert b"// mine" in after
    assert b'"theirs": [1, 2]' in after
    assert after.count(b"\n") == after.count(b"\r\n")
    bench.undo(find_agent(name))
    assert bench.files() == {FILES[name]: THEIRS}


@pytest.mark.parametrize("name", JSON_AGENTS)
def test_somebody_elses_provider_under_our_name_is_refused(bench: Workbench, name: str) -> None:
    agent = find_agent(name)
    written(bench, agent, model=GPT)
    path = bench.home / FILES[name]
    theirs = path.read_bytes().replace(b"127.0.0.1", b"theirs.example")
    for receipt in bench.receipts.glob("*.json"):
        receipt.unlink()
    path.write_bytes(theirs)
    with pytest.raises(OwnedByOtherError):
        bench.plan(agent, model=GPT)
    assert path.read_bytes() == theirs


@pytest.mark.parametrize("name", ["opencode", "crush"])
def test_the_default_model_is_set_where_there_is_one(bench: Workbench, name: str) -> None:
    bench.configure(find_agent(name), model=GPT, make_default=True)
    values = json.loads((bench.home / FILES[name]).read_bytes())
    chosen = values["model"] if name == "opencode" else values["models"]["large"]
    assert chosen == ("meshproxy/gpt-5.4" if name == "opencode" else {"provider": "meshproxy", "model": GPT})


@pytest.mark.parametrize("name", FILES)
def test_a_model_has_to_be_named(bench: Workbench, name: str) -> None:
    with pytest.raises(UsageError) as refused:
        bench.plan(find_agent(name))
    assert "--model" in (refused.value.hint or "")


@pytest.mark.parametrize("name", FILES)
def test_a_token_is_never_written_into_settings(bench: Workbench, name: str) -> None:
    with pytest.raises(UsageError):
        bench.plan(find_agent(name), model=GPT, credentials=Credentials.INLINE, token="eyJ.secret.x")


@pytest.mark.parametrize("name", FILES)
def test_a_launch_carries_url_header_and_no_token(bench: Workbench, name: str) -> None:
    agent = find_agent(name)
    run = agent.launch(bench.target(name, model=GPT), ("--flag", "two words"))
    told = json.dumps([run.arguments, dict(run.environ), dict(run.files or {})])
    assert run.arguments[0] == agent.program
    assert run.arguments[-2:] == ("--flag", "two words")
    assert "rooms/my-room/openai/v1" in told
    assert f"{name}-laptop" in told
    assert run.token_variables or "token get" in told
    assert bench.files() == {}


@pytest.mark.parametrize("name", ["zed", "continue", "vscode"])
def test_editors_get_a_snippet_and_no_edit(bench: Workbench, name: str) -> None:
    snippet = find_agent(name).snippet(bench.target(name, model=GPT))
    assert OPENAI in snippet
    assert f"{name}-laptop" in snippet
    with pytest.raises(UsageError) as refused:
        bench.plan(find_agent(name), model=GPT)
    assert "--print" in (refused.value.hint or "")


def test_an_agent_that_is_not_known_is_answered_with_those_that_are() -> None:
    with pytest.raises(UsageError) as refused:
        find_agent("cursor")
    assert "codex" in (refused.value.hint or "")
