"""`meshproxy setup` without a terminal: what is missing is told at once."""

import pytest

from fixtures.in_process import InProcess


def test_every_missing_flag_is_named_at_once(run: InProcess) -> None:
    error = run("setup", code=2).stderr
    for flag in ("--room my-room", "--agent", "--yes"):
        assert flag in error


def test_given_flags_stand_in_the_hint(run: InProcess) -> None:
    error = run("setup", "--room", "r", "--agent", "codex", code=2).stderr
    assert "meshproxy setup --room r --agent codex --yes" in error


def test_unknown_agent(run: InProcess) -> None:
    assert "agent 'emacs' not found" in run("setup", "--agent", "emacs", code=2).stderr


def test_server_that_does_not_run(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy_cli.settings.servers.LOCAL_URL", "http://127.0.0.1:1")
    found = run("setup", "--room", "r", "--agent", "codex", "--yes", code=4)
    assert "meshproxy serve" in found.stderr
    assert "--service" in found.stderr


def test_model_of_an_agent_that_has_none(run: InProcess) -> None:
    error = run("setup", "--room", "r", "--agent", "codex", "--agent", "opencode", "--yes", code=2).stderr
    assert "--model gpt-5.4 is missing" in error
    assert "meshproxy setup --room r --agent codex --agent opencode --yes --model gpt-5.4" in error
    assert "--model" not in run("setup", "--room", "r", "--agent", "codex", code=2).stderr


def test_server_of_others_that_does_not_answer(run: InProcess) -> None:
    flags = ("setup", "--server", "http://127.0.0.1:1", "--room", "r", "--agent", "codex", "--yes", "--key-file", "-")
    found = run(*flags, stdin="ma-something", code=4)
    assert "http://127.0.0.1:1/readyz can't be reached" in found.stderr
    assert "--no-check" in found.stderr
    assert not (run.state / "config").exists()
    assert "--service runs the Room Proxy of this machine" in run(*flags, "--service", code=2).stderr
    assert "they begin with ma-, mpa_ and eyJ" in run(*flags, "--no-check", stdin="nonsense", code=2).stderr
