"""Variables, quoted so that each reader gets exactly the value."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.variables import Shell, Variable, dotenv_quote, render, room_variables
from meshproxy_cli.errors import UsageError

ODD = [
    "",
    "plain",
    "it's",
    'say "x"',
    "$HOME `id` $(id)",
    "back\\slash",
    "two\nlines",
    "ünï 🙂",
    "a=b#c",
    "!history",
    "~",
]


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("shell", [Shell.BASH, Shell.ZSH, Shell.FISH])
def test_shells_read_what_was_meant(shell: Shell, value: str) -> None:
    program = shutil.which(shell) or (shutil.which("sh") if shell is not Shell.FISH else None)
    if program is None:
        assert render([Variable("X", "it's \\")], Shell.FISH) == "set -gx X 'it\\'s \\\\'\n"
        return
    script = (
        'eval "$LINES_OF_OURS"; printf %s "$X"'
        if shell is not Shell.FISH
        else "echo $LINES_OF_OURS | source; printf %s $X"
    )
    # Fish takes bytes for Latin-1 where no locale says otherwise.
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "LINES_OF_OURS": render([Variable("X", value)], shell)}
    done = subprocess.run([program, "-c", script], env=environ, capture_output=True, check=True)
    assert done.stdout.decode() == value


def test_powershell_doubles_every_kind_of_apostrophe() -> None:
    assert render([Variable("X", "a'b\u2019c$d`e")], Shell.POWERSHELL) == "$env:X = 'a''b\u2019\u2019c$d`e'\n"


@pytest.mark.parametrize("value", [value for value in ODD if "\n" not in value])
def test_dotenv_is_read_alike_by_a_shell(value: str) -> None:
    done = subprocess.run(
        ["sh", "-c", 'eval "$LINES_OF_OURS"; printf %s "$X"'],
        env={"LINES_OF_OURS": f"X={dotenv_quote(value)}", "HOME": "/h"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == value


@pytest.mark.parametrize("value", ["two\nlines", "it's $5"])
def test_what_loaders_read_differently_is_refused(value: str) -> None:
    with pytest.raises(UsageError):
        dotenv_quote(value)


def test_both_protocols_are_served(tmp_path: Path) -> None:
    target = Workbench(tmp_path).target("env", model="claude-x")
    values = {variable.name: variable.value for variable in room_variables(target, "tok")}
    assert values["OPENAI_BASE_URL"] == "http://127.0.0.1:8765/rooms/my-room/openai/v1"
    assert values["OPENAI_API_KEY"] == values["ANTHROPIC_AUTH_TOKEN"] == "tok"
    assert values["ANTHROPIC_API_KEY"] == ""
    assert values["ANTHROPIC_CUSTOM_HEADERS"] == values["OPENAI_CUSTOM_HEADERS"] == "Meshagent-Session: env-laptop"
    assert values["ANTHROPIC_MODEL"] == "claude-x"
