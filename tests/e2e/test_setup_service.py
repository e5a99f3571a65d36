"""`meshproxy setup --service`: from nothing to a working `codex exec`, with the server as a service of the user.

No user's systemd runs in a container, so a small stand-in for `systemctl` reads the unit and runs its ExecStart line
with its variables and nothing of the shell's; systemd's own reading of the unit is tested with `systemd-analyze`.
"""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.provider import OPENAI_KEY, RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(sys.platform != "linux", reason="launchd is macOS'")]

SYSTEMCTL = """\
#!{python}
import os, re, shlex, signal, subprocess, sys, time
from pathlib import Path

home, (user, verb, *rest) = Path(os.environ["HOME"]), sys.argv[1:]
unit, pid_file = home / ".config/systemd/user/meshproxy.service", home / "pid"
assert user == "--user" and not rest or rest[-1] == "meshproxy.service"

def running():
    return pid_file.exists() and Path(f"/proc/{{pid_file.read_text()}}/cmdline").exists()

def stop():
    if running():
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        while running():
            time.sleep(0.05)

def start():
    text = unit.read_text()
    command = shlex.split(re.search("^ExecStart=(.*)$", text, re.M)[1].replace("%%", "%").replace("$$", "$"))
    variables = [shlex.split(line)[0].replace("%%", "%") for line in re.findall("^Environment=(.*)$", text, re.M)]
    environ = dict(one.split("=", 1) for one in variables) | {{"HOME": str(home), "PATH": "/usr/bin:/bin"}}
    with open(home / "serve.log", "ab") as log:
        streams = dict(stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        process = subprocess.Popen(command, env=environ, cwd=home, start_new_session=True, **streams)
    pid_file.write_text(str(process.pid))

if verb == "is-active":
    sys.exit(0 if running() else 3)
if verb == "restart":
    stop()
    start()
if verb == "disable":
    stop()
"""


@pytest.fixture
def newcomer(tmp_path: Path, agents: Agents) -> Iterator[tuple[Home, Cli, dict[str, str]]]:
    """Return a home where nothing is set up, with Codex and a stand-in for systemctl."""
    home = Home(tmp_path)
    environ = agents.path(home, "codex")
    control = home.directory / "bin" / "systemctl"
    control.write_text(SYSTEMCTL.format(python=sys.executable), encoding="utf-8")
    control.chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    write_runtime(Paths.from_environment({"MESHPROXY_HOME": str(home.state)}), ServerRuntime(url, 1, "", "", 0))
    cli = Cli(home)
    yield home, cli, environ
    cli("setup", "--service", "--undo", "--yes", environ=environ)
    assert home.processes() == []


def test_from_nothing_to_codex(
    newcomer: tuple[Home, Cli, dict[str, str]], agents: Agents, provider: RecordingProvider
) -> None:
    home, cli, environ = newcomer
    cli.guard(OPENAI_KEY)
    flags = ("setup", "--service", "--server", "local", "--room", "r", "--agent", "codex", "--yes")
    shell = environ | {name: value for name, value in provider.environment().items() if "OPENAI" in name}

    done = cli(*flags, environ=shell)
    assert "keep this shell's OPENAI_API_KEY for the service" in done.stderr
    assert "$ systemctl --user restart meshproxy.service" in done.stderr
    assert "loginctl enable-linger" in done.stderr
    assert "Codex CLI, run once: answered" in done.stderr
    assert done.stdout == "codex --profile meshproxy\n"
    asked = agents.run(home, "codex", "exec", "--skip-git-repo-check", "--profile", "meshproxy", "ping")
    assert asked.stdout.strip() == "The provider heard: ping"

    pid = (home.directory / "pid").read_text()
    assert "everything is set up already" in cli(*flags, "--no-check", environ=shell).stderr
    assert (home.directory / "pid").read_text() == pid

    undone = cli("setup", "--service", "--undo", "--yes", environ=environ).stderr
    assert "$ systemctl --user disable --now meshproxy.service" in undone
    assert not (home.directory / ".config" / "systemd" / "user" / "meshproxy.service").exists()
    assert home.processes() == []
    again = cli("setup", "--service", "--undo", "--yes", environ=environ).stderr
    assert "there is no service" in again
