"""`meshproxy setup` with a server of others: a team's, signed in to with an access token, and MeshAgent's service.

The service itself can't be asked from here. In its place stands what it is known to be: the same room-scoped URLs and
API keys, and none of our own pages (`/readyz`, `/accounts/status`, ids of requests).
"""

import http.client
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pexpect
import pytest

from fixtures.agents import Agents
from fixtures.commands import MESHPROXY, Cli, Home
from fixtures.proxies import RoomProxy

pytestmark = pytest.mark.e2e

LIMIT_S = 90


def test_team_with_an_access_token(room_proxy: RoomProxy, agents: Agents, tmp_path: Path) -> None:
    token = room_proxy.cli("access", "create", "ada", "--role", "admin", "--json").json()["value"]
    home = Home(tmp_path)
    cli = Cli(home, {token, *room_proxy.cli.secrets})
    url = room_proxy.url.replace("127.0.0.1", "localhost")
    flags = ("setup", "--server", url, "--room", "team", "--agent", "codex", "--yes")
    environ = agents.path(home, "codex")

    refused = cli(*flags, environ=environ, code=2).stderr
    assert "--key-file FILE is missing" in refused
    assert f"meshproxy setup --server {url} --room team --agent codex --yes --key-file FILE" in refused
    assert not (home.state / "config").exists()

    done = cli(*flags, "--key-file", "-", stdin=token, environ=environ)
    assert "keep your access token, and create an API key" in done.stderr
    assert "Codex CLI, run once: answered" in done.stderr
    names = {one["name"] for one in cli("secret", "list", "--json").json()["secrets"]}
    assert {"access-token/localhost", "api-key/localhost"} <= names
    again = cli(*flags, "--no-check", "--key-file", "-", stdin=token, environ=environ)
    assert "everything is set up already" in again.stderr


def test_access_token_that_is_refused_is_not_kept(room_proxy: RoomProxy, agents: Agents, tmp_path: Path) -> None:
    home = Home(tmp_path)
    cli = Cli(home)
    url = room_proxy.url.replace("127.0.0.1", "localhost")
    flags = ("setup", "--server", url, "--room", "team", "--agent", "codex", "--yes", "--key-file", "-")
    done = cli(*flags, stdin="mpa_of-nobody-who-is-known-here", environ=agents.path(home, "codex"), code=3)
    assert "refused the access token" in done.stderr
    assert cli("secret", "list", "--json").json()["secrets"] == []


def test_team_at_a_terminal(room_proxy: RoomProxy, agents: Agents, tmp_path: Path) -> None:
    home = Home(tmp_path)
    environ = home.environ(agents.path(home, "codex")) | {"COLUMNS": "200"}
    environ["PATH"] = f"{home.directory}/bin:{MESHPROXY.parent}:/usr/bin:/bin"
    url = room_proxy.url.replace("127.0.0.1", "localhost")
    shown = io.StringIO()
    terminal = pexpect.spawn(
        str(MESHPROXY), ["setup"], env=environ, cwd=str(home.directory), timeout=LIMIT_S, encoding="utf-8"
    )
    terminal.logfile_read = shown
    for question, answer in (
        (r"Server \[local\]", url),
        (r"Room .*\[my-room\]", "team"),
        ("Configure Codex CLI", "y"),
        ("An API key, a participant token or your access token for", room_proxy.key.encode()),
        ("Do it", "y"),
    ):
        terminal.expect(question)
        if answer.startswith("ma-"):
            assert terminal.waitnoecho(LIMIT_S)
        terminal.sendline(answer)
    terminal.expect("Codex CLI, run once: answered")
    terminal.expect("codex --profile meshproxy")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert room_proxy.key.secret not in shown.getvalue()


@pytest.fixture
def hosted(room_proxy: RoomProxy) -> Iterator[str]:
    """Run something that has a Room Proxy's rooms and nothing else of ours; yield its URL."""
    behind = urlsplit(room_proxy.url).netloc

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            if not self.path.startswith("/rooms/"):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(behind, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            self.send_header("Content-Type", answer.headers.get("Content-Type", ""))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            connection.close()

        do_GET = do_POST = do_HEAD = _pass_on  # noqa: N815 (the library's names)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_service_of_another_make_with_an_api_key(
    hosted: str, room_proxy: RoomProxy, agents: Agents, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    cli = Cli(home, set(room_proxy.cli.secrets))
    (tmp_path / "key").write_text(room_proxy.key.encode(), encoding="utf-8")
    flags = ("setup", "--server", hosted, "--key-file", str(tmp_path / "key"), "--room", "r", "--yes")
    environ = agents.path(home, "codex", "claude")
    done = cli(*flags, "--agent", "codex", "--agent", "claude", environ=environ)
    for line in ("a live OpenAI request", "a live Anthropic request", "Codex CLI, run once", "Claude Code, run once"):
        assert f"{line}: " in done.stderr
    assert done.stdout.splitlines() == ["codex --profile meshproxy", "claude"]
    found = {one["id"]: one for one in cli("doctor", "--json", "--no-live", environ=environ).json()["checks"]}
    assert "it asks for a token where a Room Proxy does" in found["answers"]["found"]
    assert found["accepted"]["status"] == "ok"


def test_meshagents_service_by_its_name(room_proxy: RoomProxy, agents: Agents, tmp_path: Path) -> None:
    home = Home(tmp_path)
    cli = Cli(home, set(room_proxy.cli.secrets))
    flags = ("setup", "--server", "meshagent", "--room", "my room", "--agent", "codex", "--yes", "--no-check")
    cli(*flags, "--key-file", "-", stdin=room_proxy.key.encode(), environ=agents.path(home, "codex"))
    config = (home.directory / ".codex" / "config.toml").read_text(encoding="utf-8")
    assert 'base_url = "https://api.meshagent.com/rooms/my%20room/openai/v1"' in config
    assert '"--server", "meshagent"' in config
    assert cli("token", "get", "--room", "my room").stdout.count(".") == 2
    assert cli("doctor", "--offline", environ=agents.path(home, "codex")).code == 0
