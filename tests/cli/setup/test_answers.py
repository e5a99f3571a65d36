"""Answers from flags and from what is there."""

from pathlib import Path

import pytest

from meshproxy_cli.cli.setup import answers as setup_answers
from meshproxy_cli.cli.setup.answers import Flags
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.servers import Server


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path))


def test_new_server_gets_a_name_of_its_host(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ma-something\n")
    flags = Flags("https://mesh.example.com", "r", ("codex",), key, yes=True)
    answers = setup_answers.ask(flags)
    assert (answers.server.name, answers.server.url, answers.new_server) == ("mesh", "https://mesh.example.com", True)
    assert (answers.key_text, answers.has_key) == ("ma-something", False)


def test_key_is_needed_for_a_server_of_others() -> None:
    with pytest.raises(UsageError) as raised:
        setup_answers.ask(Flags("https://mesh.example.com", "r", ("codex",), None, yes=True))
    assert "--key-file" in (raised.value.hint or "")


def test_empty_key_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        setup_answers.ask(Flags("local", "r", ("codex",), tmp_path / "key", yes=True))


@pytest.mark.parametrize(
    ("model", "agents", "models"),
    [
        ("gpt-5.4", ("codex", "claude", "pi"), {"codex": "gpt-5.4", "pi": "gpt-5.4"}),
        ("claude-opus-5", ("codex", "claude", "pi"), {"claude": "claude-opus-5", "pi": "claude-opus-5"}),
        ("gpt-5.4", ("claude",), {"claude": "gpt-5.4"}),
        (None, ("codex", "claude"), {}),
    ],
)
def test_model_goes_to_those_that_speak_its_protocol(
    model: str | None, agents: tuple[str, ...], models: dict[str, str]
) -> None:
    assert setup_answers.ask(Flags("local", "r", agents, yes=True, model=model)).models == models


def test_the_server_comes_before_the_other_questions() -> None:
    def refuse(server: Server) -> None:
        raise UsageError(f"{server.name} does not run")

    with pytest.raises(UsageError, match="local does not run"):
        setup_answers.ask(Flags("local", "r", ("codex",), Path("there-is-none"), yes=True), refuse)


def test_what_is_asked_at_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for program in ("codex", "pi", "code"):  # the last one is only shown what to paste
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("meshproxy_cli.cli.output.interactive", lambda: True)
    typed = iter(("team.example.com", "local", "r", "gpt-5.4-mini"))
    asked: list[str] = []

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return next(typed)

    def confirm(text: str, **_: object) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr("typer.prompt", prompt)
    monkeypatch.setattr("typer.confirm", confirm)
    answers = setup_answers.ask(Flags())
    assert [question.partition(" (")[0] for question in asked] == [
        "Server",
        "Server",
        "Room",
        "Configure Codex CLI?",
        "Configure pi?",
        "Model for pi",
    ]
    assert (answers.server.name, answers.room, answers.agents) == ("local", "r", ("codex", "pi"))
    assert answers.models == {"pi": "gpt-5.4-mini"}


def test_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("meshproxy_cli.cli.output.interactive", lambda: True)
    with pytest.raises(UsageError, match="no agent is installed here"):
        setup_answers.ask(Flags("local", "r"))
