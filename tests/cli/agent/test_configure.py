"""`meshproxy configure`: shown first, written with care, listed, and taken back; hard cases handled or refused."""

import os
import tomllib
from pathlib import Path

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.tokens.apikey import ApiKey

SERVER = "https://proxy.example"
CODEX = ("configure", "codex", "--room", "my-room", "--server", SERVER)
PROJECT = "6a3f8f0e-1f5b-4d8c-9a51-1b6a3f0c2d4e"

HARD = {
    "crlf": b'model = "mine"\r\n# kept\r\n[features]\r\nweb = true\r\n',
    "byte order mark": b'\xef\xbb\xbfmodel = "mine"\n',
    "no newline at the end": b"[features]\nweb = true # kept",
    "inline table": b"model_providers = { mine = { name = 'm' } } # kept\n",
    "dotted keys": b"model_providers.mine.name = 'm'\n",
    "arrays of tables": b"[[hooks]]\nname = 'a'\n[hooks.deep]\nx = 1\n[[hooks]]\nname = 'b'\n",
    "a header inside a string": b'notes = """\n[model_providers.meshproxy]\n"""\n',
    "quoted names": b'["model_providers"."mine"]\n"base_url" = \'u\'\n',
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the HOME of a person who has a key and no agent installed."""
    directory = tmp_path / "person"
    (directory / ".codex").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("MESHAGENT_API_KEY", ApiKey.generate(PROJECT).encode())
    return directory


@pytest.fixture
def config(home: Path) -> Path:
    """Return Codex' configuration file; it does not exist yet."""
    return home / ".codex" / "config.toml"


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def provider(config: Path) -> dict[str, object]:
    values = tomllib.loads(config.read_bytes().decode("utf-8-sig"))
    found: dict[str, object] = values["model_providers"]["meshproxy"]
    return found


@pytest.mark.parametrize("name", HARD)
def test_odd_files_are_edited_and_given_back_to_the_byte(run: InProcess, home: Path, config: Path, name: str) -> None:
    config.write_bytes(HARD[name])

    run(*CODEX, "--yes")

    assert provider(config)["base_url"] == f"{SERVER}/rooms/my-room/openai/v1"
    if name == "crlf":
        assert config.read_bytes().count(b"\n") == config.read_bytes().count(b"\r\n")
    run("configure", "codex", "--undo", "--yes")
    assert files(home) == {".codex/config.toml": HARD[name]}


@pytest.mark.parametrize(
    ("before", "says"),
    [
        (b"[unfinished\n", "can't be edited"),
        (b"\xff\xfe[features]\n", "UTF-8"),
        (b"model_providers = 3\n", "can't be edited"),
        (b"[model_providers.meshproxy]\nname = 'theirs'\n", "did not write"),
    ],
)
def test_what_cannot_be_edited_is_refused(run: InProcess, home: Path, config: Path, before: bytes, says: str) -> None:
    config.write_bytes(before)

    refused = run(*CODEX, "--yes", code=None)

    assert refused.code != 0
    assert says in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert files(home) == {".codex/config.toml": before}


def test_a_read_only_file_is_refused(run: InProcess, home: Path, config: Path) -> None:
    config.write_bytes(b"model = 'mine'\n")
    config.chmod(0o444)

    refused = run(*CODEX, "--yes", code=None)

    assert refused.code != 0
    assert "read-only" in refused.stderr
    assert files(home) == {".codex/config.toml": b"model = 'mine'\n"}


def test_a_link_into_a_repository_of_dotfiles_stays_a_link(run: InProcess, home: Path, config: Path) -> None:
    kept = home / "dotfiles" / "codex.toml"
    kept.parent.mkdir()
    kept.write_bytes(b"model = 'mine'\n")
    config.symlink_to(kept)

    run(*CODEX, "--yes")

    assert config.is_symlink()
    assert b"model_providers" in kept.read_bytes()
    run("configure", "codex", "--undo", "--yes")
    assert config.is_symlink()
    assert kept.read_bytes() == b"model = 'mine'\n"


def test_a_dry_run_shows_the_change_and_writes_nothing(run: InProcess, tmp_path: Path, config: Path) -> None:
    config.write_bytes(b"model = 'mine'\n")
    before = files(tmp_path)

    shown = run(*CODEX, "--dry-run").stdout

    assert "+[model_providers.meshproxy]" in shown
    assert files(tmp_path) == before


def test_without_a_terminal_it_names_yes(run: InProcess, home: Path) -> None:
    refused = run(*CODEX, code=2)
    assert "--yes" in refused.stderr
    assert files(home) == {}


def test_running_it_twice_changes_nothing(run: InProcess, home: Path) -> None:
    run(*CODEX, "--yes")
    before = files(home)

    assert "nothing to change" in run(*CODEX, "--yes").stderr

    assert files(home) == before


def test_undo_keeps_later_edits_and_says_what_it_left(run: InProcess, config: Path) -> None:
    config.write_bytes(b"# mine\nmodel = 'mine'\n")
    run(*CODEX, "--yes")
    text = config.read_text(encoding="utf-8").replace('wire_api = "responses"', 'wire_api = "other" # theirs')
    config.write_text(text + "\n[later]\nkey = 1\n", encoding="utf-8")

    undone = run("configure", "codex", "--undo", "--yes")

    assert "model_providers.meshproxy.wire_api" in undone.stderr
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    assert values == {
        "model": "mine",
        "model_providers": {"meshproxy": {"wire_api": "other"}},
        "later": {"key": 1},
    }
    assert config.read_text(encoding="utf-8").startswith("# mine\n")


def test_an_old_profile_is_moved_and_moved_back(run: InProcess, home: Path, config: Path) -> None:
    before = b'profile = "work"\n\n[profiles.work]\nmodel = "gpt-x" # kept\n'
    config.write_bytes(before)

    shown = run(*CODEX, "--yes").stderr

    assert "work.config.toml" in shown
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    assert "profile" not in values
    assert "work" not in values.get("profiles", {})
    assert tomllib.loads((home / ".codex" / "work.config.toml").read_text(encoding="utf-8")) == {"model": "gpt-x"}
    run("configure", "codex", "--undo", "--yes")
    assert files(home) == {".codex/config.toml": before}


def test_the_list_tells_what_is_configured_and_whether_it_still_matches(run: InProcess, config: Path) -> None:
    run(*CODEX, "--standalone", "--session", "codex-ci", "--yes")
    own = config.with_name("meshproxy.config.toml")

    [entry] = run_list(run)
    assert entry == {
        "agent": "codex",
        "profile": "meshproxy",
        "room": "my-room",
        "server": entry["server"],
        "session": "codex-ci",
        "file": str(own),
        "state": "as written",
    }
    assert not config.exists()

    own.write_bytes(own.read_bytes() + b"\n[later]\n")
    assert run_list(run)[0]["state"] == "ours as written, others changed"
    own.unlink()
    assert run_list(run)[0]["state"] == "gone"


def run_list(run: InProcess) -> list[dict[str, str]]:
    found: list[dict[str, str]] = run("configure", "--list", "--json").json()["configured"]
    return found


@pytest.mark.parametrize("profile", ["openai", "ollama", "lmstudio", "amazon-bedrock", "two words"])
def test_names_that_codex_keeps_or_cannot_read_are_refused(run: InProcess, home: Path, profile: str) -> None:
    assert "--profile" in run(*CODEX, "--profile", profile, "--yes", code=2).stderr
    assert files(home) == {}


def test_an_inline_token_is_for_its_owner_alone(run: InProcess, home: Path) -> None:
    target = home / ".env"
    target.write_bytes(b"MINE=1\n")
    target.chmod(0o644)
    options = ("--room", "my-room", "--server", SERVER, "--env-file", str(target), "--credentials", "inline")

    run("configure", "claude", *options, "--yes")

    assert target.stat().st_mode & 0o777 == 0o600
    assert "ANTHROPIC_AUTH_TOKEN=eyJ" in target.read_text(encoding="utf-8")
    run("configure", "claude", "--undo", "--env-file", str(target), "--yes")
    assert files(home) == {".env": b"MINE=1\n"}
    assert target.stat().st_mode & 0o777 == 0o644


def test_undo_of_what_was_never_configured_says_so(run: InProcess, home: Path) -> None:
    refused = run("configure", "codex", "--undo", "--yes", code=None)
    assert refused.code != 0
    assert "did not configure codex" in refused.stderr
    assert os.listdir(home / ".codex") == []  # noqa: PTH208 (names alone)
