"""Names for completion: from where they come, how long they may take, and what is never asked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from fixtures.in_process import InProcess
from fixtures.webserver import Site, event, make_site, serving
from meshproxy_cli.cli.completion import sources
from meshproxy_cli.store.names import NameKind
from meshproxy_cli.store.records import Room

ASK = {"COMP_WORDS": "meshproxy usage --session ", "COMP_CWORD": "3", "_MESHPROXY_COMPLETE": "complete_bash"}
RUN = """
import sys
from meshproxy_cli.cli.app import run
code = run([])
print(*sys.modules, sep="\\n", file=sys.stderr)
sys.exit(code)
"""


def test_what_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIMIT_S", 0.1)
    never = Event()

    def slow() -> Iterator[sources.Name]:
        yield "first", ""
        never.wait(60)
        yield "late", ""

    def broken() -> Iterator[sources.Name]:
        raise OSError("gone")

    assert sources.gather([lambda: [("quick", "here"), ("quick", "again")], broken, slow]) == [
        ("quick", "here"), ("first", "")
    ]  # fmt: skip
    never.set()


@pytest.mark.parametrize(
    "name", ["a b", "$(id)", "`id`", "a;b", "a|b", "it's", '"', "\\", "-x", "", "*", "~", "a\nb", "(x)"]
)
def test_names_that_mean_something_to_a_shell(name: str) -> None:
    assert sources.gather([lambda: [(name, ""), ("good", name)]]) == [
        ("good", name if name in {"a b", "-x", ""} else "")
    ]


def test_rooms_of_this_machine(furnished: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_ROOM", "from-the-shell")
    assert dict(sources.rooms_here()) == {
        "from-the-shell": "MESHAGENT_ROOM",
        "research": "token of local",
    }
    assert set(sources.secret_names()) >= {"api-key/local", "token/local/research"}
    assert dict(sources.servers())["team"] == "https://mesh.example.com"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = make_site(tmp_path / "server")
    made.store.rooms.put(Room(name="far-away", project_id=made.project.id, created_at=event(made).started_at))
    made.store.keys.create(made.project.id, "their-key")
    made.store.events.add([event(made)])
    yield made
    made.store.close()


def test_another_server(run: InProcess, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LIMIT_S", 30)
    monkeypatch.setattr(sources, "_REQUEST_S", 30)
    with serving(site.app) as url:
        run("server", "add", "team", url, "--access-token", "-", stdin=site.viewer)

        def names(kind: NameKind) -> set[str]:
            return {name for name, _ in sources.on_server(kind, "team")}

        assert names(NameKind.ROOM) == {"far-away", "backend"}
        assert names(NameKind.SESSION) == {"codex-ana"}
        assert names(NameKind.PARTICIPANT) == {"ana"}
        assert names(NameKind.MODEL) == {"gpt-5.4"}
        assert "their-key" in names(NameKind.API_KEY)
        assert names(NameKind.ROOM) != set()
        monkeypatch.setenv("MESHAGENT_TOKEN", site.viewer)
        run("server", "remove", "team")
        assert set(sources.on_server(NameKind.ROOM, url)) == set(), "a token goes to no URL that is just being typed"
        monkeypatch.setenv("MESHAGENT_API_URL", url)
        assert ("far-away", "") in set(sources.on_server(NameKind.ROOM, None))
    assert sources.gather([lambda: sources.on_server(NameKind.ROOM, None)]) == []


def test_the_keyring_is_never_asked(run: InProcess, tmp_path: Path) -> None:
    """A keyring may ask its person to unlock it: here it holds the access token, and is left alone."""
    run("server", "add", "team", "http://127.0.0.1:1")
    run("server", "use", "team")
    secrets = run.state / "secrets" / "secrets.json"
    secrets.parent.mkdir(parents=True, mode=0o700)
    secrets.write_text('{"version": 1, "backend": null, "secrets": {"access-token/team": {"place": "os"}}}')
    secrets.chmod(0o600)
    environ = {**os.environ, **ASK, "MESHPROXY_HOME": str(run.state), "MESHPROXY_KEYRING": "os"}
    done = subprocess.run([sys.executable, "-c", RUN], env=environ, capture_output=True, text=True, check=True)
    imported = set(done.stderr.split())
    assert done.stdout.strip() == ""
    assert "keyring" not in imported
    assert "jeepney" not in imported


def test_a_local_name_costs_no_big_import(furnished: InProcess) -> None:
    environ = {**os.environ, **ASK, "MESHPROXY_HOME": str(furnished.state)}
    done = subprocess.run([sys.executable, "-c", RUN], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "codex-laptop"
    assert (
        set(done.stderr.split()) & {"sqlalchemy", "alembic", "rich.console", "http.client", "tomlkit", "asyncio"}
        == set()
    )
