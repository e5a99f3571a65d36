"""`meshproxy launch`: nothing is written; arguments, standard streams, exit code and signals are the agent's."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.commands import MESHPROXY, Cli, Home
from meshproxy_cli.agents.variables import ACCOUNT_VARIABLES
from meshproxy_cli.tokens.apikey import ApiKey

SERVER = "https://proxy.example"
PROJECT = "6a3f8f0e-1f5b-4d8c-9a51-1b6a3f0c2d4e"
MODEL = ("--model", "gpt-5.4")
# An agent that tells how it was called and ends as it is asked to. It waits for a signal after `wait`.
AGENT = """\
#!{python}
import json, os, signal, sys
def end(number, frame):
    sys.exit(40 + number)
if sys.argv[-1] == "wait":
    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        signal.pause()
if sys.argv[-1] == "die":
    print("ready", flush=True)
    while True:
        signal.pause()
print(json.dumps({{"arguments": sys.argv[1:], "environ": dict(os.environ)}}))
sys.exit(7)
"""
AGENTS = {"codex": (), "claude": (), "pi": MODEL, "opencode": MODEL, "crush": MODEL, "goose": MODEL, "aider": MODEL}
# These read their settings from a file only: meshproxy stays beside them, to remove it.
BESIDE_FILES = ("crush", "aider")


@pytest.fixture
def environ(meshproxy_home: Home) -> dict[str, str]:
    """Return the environment of a person with a key, and with every agent on the PATH."""
    programs = meshproxy_home.root / "bin"
    programs.mkdir()
    (meshproxy_home.root / "tmp").mkdir()
    for name in AGENTS:
        (programs / name).write_text(AGENT.format(python=sys.executable), encoding="utf-8")
        (programs / name).chmod(0o755)
    environ = meshproxy_home.environ()
    return {
        "PATH": f"{programs}:{environ['PATH']}",
        "MESHAGENT_API_KEY": ApiKey.generate(PROJECT).encode(),
        "TMPDIR": str(meshproxy_home.root / "tmp"),
        **dict.fromkeys(ACCOUNT_VARIABLES, "mine"),
    }


def options(agent: str) -> tuple[str, ...]:
    return ("launch", agent, "--room", "my-room", "--server", SERVER, *AGENTS[agent])


@pytest.mark.parametrize("agent", AGENTS)
def test_nothing_is_written_and_the_exit_code_is_the_agents(cli: Cli, environ: dict[str, str], agent: str) -> None:
    done = subprocess.run(
        [MESHPROXY, *options(agent), "--", "--print", "two words"],
        env=cli.home.environ(environ),
        cwd=cli.home.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 7, done.stderr
    seen = json.loads(done.stdout)
    assert seen["arguments"][-2:] == ["--print", "two words"]
    assert not seen["environ"].keys() & set(ACCOUNT_VARIABLES)
    told = json.dumps([seen["arguments"], {k: v for k, v in seen["environ"].items() if k != "MESHAGENT_API_KEY"}])
    if agent not in BESIDE_FILES:
        assert "proxy.example" in told
        assert f"{agent}-" in told, "the session"
    assert "eyJ" not in "".join(seen["arguments"]), "no secret stands in an argument"
    assert list(cli.home.directory.iterdir()) == []
    assert [path for path in (cli.home.root / "tmp").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("agent", ["codex", "crush"])
@pytest.mark.parametrize("mode", ["wait", "die"])
def test_signals_are_the_agents(cli: Cli, environ: dict[str, str], agent: str, mode: str) -> None:
    with subprocess.Popen(
        [MESHPROXY, *options(agent), "--", mode],
        env=cli.home.environ(environ),
        cwd=cli.home.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)

    ended_by_signal = 128 + signal.SIGTERM if agent in BESIDE_FILES else -signal.SIGTERM
    assert code == (40 + signal.SIGTERM if mode == "wait" else ended_by_signal)
    assert list(cli.home.directory.iterdir()) == []
    assert [path for path in (cli.home.root / "tmp").rglob("*") if path.is_file()] == []


def test_an_agent_that_is_not_installed_is_named(cli: Cli, tmp_path: Path) -> None:
    refused = cli(
        *options("codex"), code=None, environ={"PATH": "/nonexistent", "MESHAGENT_API_KEY": "", "TMPDIR": str(tmp_path)}
    )
    assert refused.code != 0
    assert "Codex CLI is not installed" in refused.stderr


def test_a_second_settings_option_is_refused(cli: Cli, environ: dict[str, str]) -> None:
    refused = cli(*options("claude"), "--", "--settings", "{}", code=2, environ=environ)
    assert "configure" in refused.stderr
