"""`meshproxy setup` at a scripted terminal, on a fresh HOME, with the real agents, to a working `codex exec`."""

from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from e2e.provider import RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import MESHPROXY, Cli, Home
from fixtures.proxies import RoomProxy, running_proxy

pytestmark = pytest.mark.e2e

LIMIT_S = 90


@pytest.fixture
def proxy(tmp_path: Path, provider: RecordingProvider) -> Iterator[RoomProxy]:
    with running_proxy(Home(tmp_path / "p"), provider) as running:
        running.cli("secret", "forget", "api-key/local")
        yield running


def ask_codex(agents: Agents, home: Home) -> str:
    done = agents.run(home, "codex", "exec", "--skip-git-repo-check", "--profile", "meshproxy", "ping")
    assert done.code == 0, done.stderr
    return done.stdout.strip()


def files_of(home: Home) -> dict[str, bytes]:
    """Return what lies in the agents' directories and in our settings and secrets."""
    kept = [home.directory / ".claude" / "settings.json", *sorted((home.directory / ".codex").glob("*.toml"))]
    kept += [home.state / "config" / "settings.toml", home.state / "secrets" / "secrets.json"]
    return {str(path): path.read_bytes() for path in kept}


def test_at_a_terminal_then_again_then_unattended(proxy: RoomProxy, agents: Agents) -> None:
    home = proxy.home.with_user("newcomer")
    environ = home.environ(agents.path(home, "codex", "claude")) | {"COLUMNS": "200"}
    environ["PATH"] = f"{home.directory}/bin:{MESHPROXY.parent}:/usr/bin:/bin"

    terminal = pexpect.spawn(
        str(MESHPROXY), ["setup"], env=environ, cwd=str(home.directory), timeout=LIMIT_S, encoding="utf-8"
    )
    terminal.expect(r"Server \[local\]")
    terminal.sendline("")
    terminal.expect(r"Room .*\[my-room\]")
    terminal.sendline("backend")
    terminal.expect("Configure Codex CLI")
    terminal.sendline("y")
    terminal.expect("Configure Claude Code")
    terminal.sendline("y")
    terminal.expect("create an API key")
    terminal.expect(r"\+base_url = .*/rooms/backend/openai/v1")
    terminal.expect("Do it")
    terminal.sendline("y")
    terminal.expect("Codex CLI, run once: answered")
    terminal.expect("Claude Code, run once: answered")
    terminal.expect("Next, type:")
    terminal.expect("codex --profile meshproxy")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert ask_codex(agents, home) == "The provider heard: ping"

    before = files_of(home)
    cli = Cli(home, proxy.cli.secrets)
    flags = ("--server", "local", "--room", "backend", "--agent", "codex", "--agent", "claude", "--yes")
    again = cli("setup", *flags, "--no-check", environ=environ)
    assert "everything is set up already" in again.stderr
    assert again.stdout.splitlines() == ["codex --profile meshproxy", "claude"]
    assert files_of(home) == before


def test_unattended_on_a_fresh_home(proxy: RoomProxy, agents: Agents) -> None:
    home = proxy.home.with_user("script")
    environ = agents.path(home, "codex")
    cli = Cli(home, proxy.cli.secrets)
    done = cli("setup", "--server", "local", "--room", "ci", "--agent", "codex", "--yes", environ=environ)
    assert done.stdout.strip() == "codex --profile meshproxy"
    assert "Codex CLI, run once: answered" in done.stderr
    assert ask_codex(agents, home) == "The provider heard: ping"


def test_agents_that_have_to_be_told_their_model(proxy: RoomProxy, agents: Agents) -> None:
    home = proxy.home.with_user("reader")
    environ = agents.path(home, "pi", "opencode")
    cli = Cli(home, proxy.cli.secrets)
    flags = ("--server", "local", "--room", "r", "--agent", "pi", "--agent", "opencode", "--model", "gpt-5.4", "--yes")
    done = cli("setup", *flags, environ=environ)
    assert "pi, run once: answered" in done.stderr
    assert "opencode, run once: answered" in done.stderr
    assert done.stdout.splitlines() == [
        "pi --provider meshproxy --model gpt-5.4",
        "meshproxy launch opencode --room r --model gpt-5.4",
    ]
    again = cli("setup", "--room", "r", "--agent", "pi", "--yes", "--no-check", environ=environ)
    assert "everything is set up already" in again.stderr
