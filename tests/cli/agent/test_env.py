"""`meshproxy env`: variables that real shells read exactly as they were meant."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.tokens.apikey import ApiKey

SERVER = "https://proxy.example"
PROJECT = "6a3f8f0e-1f5b-4d8c-9a51-1b6a3f0c2d4e"
ACCOUNT = ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID", "OPENAI_PROJECT")
NASTY = 'it\'s "a" $HOME `id` $(id) \\ ; & | * # !x'
MILD = 'two words $HOME # `id` "x" \\'
DUMP = "import json, os; print(json.dumps(dict(os.environ)))"
SHELLS = [name for name in ("bash", "dash", "zsh", "fish", "pwsh") if shutil.which(name)]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_API_KEY", ApiKey.generate(PROJECT).encode())


def lines(run: InProcess, shell: str, session: str) -> str:
    options = ("--room", "my room/é", "--server", SERVER, "--session", session, "--shell", shell)
    return run("env", *options).stdout


def read_by(program: str, script: str) -> dict[str, str]:
    """Return the environment that a shell hands on after it ran `script`."""
    dump = f"{script}\n'{sys.executable}' -c '{DUMP}'\n"
    done = subprocess.run(
        [program, "-c", dump],
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "ANTHROPIC_API_KEY": "sk-ant-mine",
            **dict.fromkeys(ACCOUNT, "mine"),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    found: dict[str, str] = json.loads(done.stdout)
    return found


def assert_variables(found: dict[str, str], session: str) -> None:
    room = f"{SERVER}/rooms/my%20room%2F%C3%A9"
    assert found["OPENAI_BASE_URL"] == f"{room}/openai/v1"
    assert found["ANTHROPIC_BASE_URL"] == f"{room}/anthropic"
    assert found["ANTHROPIC_CUSTOM_HEADERS"] == f"Meshagent-Session: {session}"
    assert found["OPENAI_API_KEY"] == found["ANTHROPIC_AUTH_TOKEN"]
    assert found["OPENAI_API_KEY"].count(".") == 2
    assert found["ANTHROPIC_API_KEY"] == ""
    assert not any(found.get(name) for name in ACCOUNT)


@pytest.mark.parametrize("program", SHELLS)
@pytest.mark.parametrize("session", ["codex-laptop", NASTY])
def test_a_shell_evaluates_the_lines(run: InProcess, program: str, session: str) -> None:
    shell = {"dash": "bash", "pwsh": "powershell"}.get(program, program)
    assert_variables(read_by(program, lines(run, shell, session)), session)


@pytest.mark.parametrize("program", ["bash", "dash"])
@pytest.mark.parametrize("session", ["codex-laptop", MILD, "it's"])
def test_a_shell_sources_the_dotenv_file(run: InProcess, tmp_path: Path, program: str, session: str) -> None:
    file = tmp_path / ".env"
    file.write_text(lines(run, "dotenv", session), encoding="utf-8")
    assert_variables(read_by(program, f"set -a; . '{file}'; set +a"), session)


def test_what_loaders_of_dotenv_read_differently_is_refused(run: InProcess) -> None:
    options = ("--room", "my-room", "--server", SERVER, "--session", NASTY, "--shell", "dotenv")
    refused = run("env", *options, code=2)
    assert refused.stdout == ""
    assert ".env" in refused.stderr


def test_fish_and_powershell_get_their_own_quotes(run: InProcess) -> None:
    session = "it's \\ $x"
    assert "set -gx ANTHROPIC_CUSTOM_HEADERS 'Meshagent-Session: it\\'s \\\\ $x'\n" in lines(run, "fish", session)
    powershell = lines(run, "powershell", session)
    assert "$env:ANTHROPIC_CUSTOM_HEADERS = 'Meshagent-Session: it''s \\ $x'\n" in powershell


def test_without_a_room_it_says_how_to_name_one(run: InProcess) -> None:
    assert "--room" in run("env", "--server", SERVER, code=2).stderr
