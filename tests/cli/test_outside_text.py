"""Whatever a server, a token or a file says: it steers no terminal, forges no line, and JSON stays JSON."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fixtures.commands import MESHPROXY, Cli
from fixtures.in_process import InProcess
from meshproxy_cli.configedit.atomic import replacing
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.tokenspec import TokenSpec

EVIL = "x\x1b[2J\x1b]52;c;QUJD\x07\n✓ signature    valid\r\u202eevil\x9b31m\u2028"
KEY = ApiKey(
    "3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "s3cr3t-0123456789abcdefghij"
)
STEERING = {*map(chr, range(32)), *map(chr, range(127, 160)), "\u202e", "\u2028"} - {"\n"}
_KEY_ID = "8af8df11-e7da-4642-8561-8ef4c4a118d0"
_TIME = "2026-11-01T00:00:00Z"


class _Hostile(BaseHTTPRequestHandler):
    """Answers with escape sequences in every field; paths with `refuse` in them are refused so."""

    status = 200

    def do_GET(self) -> None:
        record = {
            "id": _KEY_ID, "name": EVIL, "description": EVIL, "created_at": _TIME,
            "revoked_at": None, "last_used_at": None,
            "project_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "role": "admin", "created_by": EVIL, "actor": EVIL,
            "action": EVIL, "subject": EVIL, "detail": EVIL, "at": _TIME,
        }  # fmt: skip
        rows = [record]
        body = {"error": {"code": EVIL, "message": EVIL, "hint": EVIL}}
        if type(self).status == 200:
            body = dict.fromkeys(("keys", "tokens", "entries", "rooms", "limits", "api_keys", "items"), rows)
        data = json.dumps(body).encode()
        self.send_response(type(self).status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[str]:
    """Run a server that means harm and yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hostile)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def harmless(text: str) -> None:
    assert not STEERING & set(text)
    assert [line for line in text.splitlines() if line.startswith(("✓", "signature    valid"))] == []


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 409, 429, 500])
@pytest.mark.parametrize("command", [("api-key", "list"), ("access", "list"), ("audit",), ("usage",)], ids=" ".join)
@pytest.mark.parametrize("option", [(), ("--json",)], ids=["people", "json"])
def test_a_hostile_server(
    run: InProcess, hostile: str, monkeypatch: pytest.MonkeyPatch, *, status: int, command: tuple[str, ...],
    option: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr(_Hostile, "status", status)
    monkeypatch.setenv("MESHAGENT_TOKEN", "mpa_0123456789abcdefghijklmnop")
    found = run(*command, "--server", hostile, *option, code=None)
    harmless(found.stdout)
    harmless(found.stderr)
    if option:
        assert isinstance(found.json(), dict)
        if status != 200:
            assert found.json()["error"]["exit_code"] == found.code != 0


@pytest.mark.parametrize("place", ["identity", "room"])
def test_claims_of_a_token(run: InProcess, place: str) -> None:
    spec = TokenSpec.for_room(EVIL if place == "identity" else "ann", EVIL if place == "room" else "r")
    token = mint(spec, KEY, now=1_800_000_000)
    shown = run("token", "inspect", stdin=token, code=None)
    harmless(shown.stdout + shown.stderr)
    assert next(line for line in shown.stdout.splitlines() if line.startswith("signature")).endswith("at hand")
    as_json = run("token", "inspect", "--json", stdin=token, code=None)
    harmless(as_json.stdout)
    assert EVIL in (as_json.json()["identity"], as_json.json()["room"])


def test_arguments_and_the_environment(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    harmless(run("room", "show", EVIL, code=None).stderr)
    harmless(run(EVIL, code=2).stderr)
    harmless(run("token", "get", "--room", "r", "--server", EVIL, code=None).stderr)
    monkeypatch.setenv("MESHAGENT_ROOM", EVIL)
    harmless(run("configure", "codex", "--dry-run", code=None).stderr)


@pytest.mark.parametrize(
    "words",
    [("config", "show", "--nonsense"), ("api-key", "list", "--server", "nowhere"), ("room", "show", "none")],
    ids=" ".join,
)
def test_errors_are_json_too(run: InProcess, words: tuple[str, ...]) -> None:
    found = run(*words, "--json", code=None)
    assert found.code != 0
    assert found.json()["error"]["message"] in found.stderr


@pytest.mark.parametrize("encoding", ["utf-16", "cp1252", "ascii", "utf-8-sig", "utf-7"])
def test_json_in_any_encoding(cli: Cli, encoding: str) -> None:
    cli("--quiet", "config", "set", "room", "räume-名")
    done = subprocess.run(
        [MESHPROXY, "config", "show", "--json"],
        env=cli.home.environ({"PYTHONIOENCODING": encoding}),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["settings"]["servers.local.room"]["value"] == "räume-名"


def test_nobody_reads_to_the_end(cli: Cli) -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", "meshproxy api-key list --server nowhere --json | true"],
        env=cli.home.environ(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


def test_a_diff_shows_no_credential(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(run.home))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    settings = run.home / ".claude" / "settings.json"
    settings.parent.mkdir()
    env = {"NOTE": KEY.encode(), "OTHER": "mpa_0123456789abcdefghijklmnopqrstuvwxyz"}
    settings.write_text(json.dumps({"env": env}))
    shown = run("configure", "claude", "--room", "r", "--dry-run").stdout
    assert "(secret)" in shown
    assert KEY.secret not in shown
    assert "mpa_0123" not in shown


def test_outputs_go_where_they_are_sent(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"old")
    real.chmod(0o640)
    (tmp_path / "link").symlink_to(real)
    with replacing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o640)
    with replacing(Path(os.devnull)) as file:
        file.write(b"x")
    assert not Path(os.devnull).is_file()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    with replacing(pipe) as file:
        file.write(b"through")
    reader.join(10)
    assert heard == [b"through"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
@pytest.mark.parametrize(
    "command", [("token", "generate", "--room", "r", "--identity", "a"), ("usage", "export")], ids=" ".join
)
def test_the_own_output_is_appended_to(cli: Cli, tmp_path: Path, place: str, command: tuple[str, ...]) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    log = tmp_path / "log"
    log.write_text("kept\n")
    with log.open("a") as file:
        subprocess.run(
            [MESHPROXY, *command, "--output", str(tmp_path / place)],
            env=cli.home.environ({"MESHAGENT_API_KEY": KEY.encode()}), stdout=file, stderr=subprocess.PIPE,
            timeout=60, check=True,
        )  # fmt: skip
    assert log.read_text().startswith("kept\n")
