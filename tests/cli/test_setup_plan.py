"""The plan: steps that are left to do, with what they change, and nothing done before."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from meshproxy_cli.cli.setup_answers import Answers
from meshproxy_cli.cli.setup_plan import next_commands, plan
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
