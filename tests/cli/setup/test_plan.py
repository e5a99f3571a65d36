"""The plan: steps that are left to do, with what they change, and nothing done before."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.cli.setup.answers import Answers
from meshproxy_cli.cli.setup.plan import next_commands, plan
from meshproxy_cli.settings.servers import Server
from meshproxy_cli.tokens.apikey import ApiKey


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path / "meshproxy"))
    monkeypatch.setenv("HOME", str(tmp_path))
    key = ApiKey.generate("6f1f9f2e-0000-4000-8000-000000000000").encode()
    return Answers(
        server=Server("team", "https://mesh.example.com"),
        new_server=True,
        room="r",
        agents=("claude",),
        has_key=False,
        key_text=key,
    )


def test_plan_is_shown_first_and_done_once(answers: Answers, tmp_path: Path) -> None:
    steps = plan(answers, None)
    assert [step.title.split()[0] for step in steps] == ["add", "make", "keep", "make", "configure"]
    assert "https://mesh.example.com/rooms/r/anthropic" in steps[-1].preview
    assert "--server team" in steps[-1].preview
    assert not any((tmp_path / name).exists() for name in (".claude", "meshproxy/config"))

    for step in steps:
        step.run()
    again = replace(answers, new_server=False, has_key=True, key_text=None)
    assert plan(again, None) == []
    assert next_commands(again) == ("claude",)
    assert "mesh.example.com" in (Path(os.environ["HOME"]) / ".claude" / "settings.json").read_text()


def test_what_was_chosen_for_an_agent_stays(answers: Answers, run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROXY_HOME", str(Path(os.environ["HOME"]) / "meshproxy"))
    for step in plan(replace(answers, agents=()), None):
        step.run()
    chosen = ("--session", "mine", "--model", "claude-opus-5", "--credentials", "env")
    run("configure", "claude", "--room", "r", *chosen, "--yes")
    run("configure", "codex", "--room", "r", "--default", "--yes")
    again = replace(
        answers,
        new_server=False,
        has_key=True,
        key_text=None,
        agents=("claude", "codex"),
        models={"claude": "claude-opus-5"},
    )
    assert plan(again, None) == []
    assert next_commands(again) == ("claude", "codex")


def test_an_agent_without_a_token_command_is_launched(answers: Answers) -> None:
    chosen = replace(answers, agents=("opencode",), models={"opencode": "gpt-5.4"})
    assert next_commands(chosen) == ("meshproxy launch opencode --room r --model gpt-5.4",)
