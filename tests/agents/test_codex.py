"""Codex CLI: profile forms by release, options, leftovers, and what wins over us."""

import tomllib
from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.base import Credentials
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.agents.codex_form import CodexTooOldError
from meshproxy_cli.errors import ConflictError, UsageError

CODEX = Codex()


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def install(bench: Workbench, says: str) -> None:
    program = bench.home.parent / "bin" / "codex"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)


def values(bench: Workbench, name: str = "config.toml") -> dict[str, object]:
    return tomllib.loads((bench.home / ".codex" / name).read_text())


def test_what_is_written(bench: Workbench) -> None:
    bench.configure(CODEX, model="gpt-5")
    assert values(bench) == {
        "model_providers": {
            "meshproxy": {
                "name": "Room my-room (meshproxy)",
                "base_url": "http://127.0.0.1:8765/rooms/my-room/openai/v1",
                "wire_api": "responses",
                "http_headers": {"Meshagent-Session": "codex-laptop"},
                "auth": {
                    "command": "/opt/mesh proxy/bin/meshproxy",
                    "args": ["token", "get", "--room", "my-room", "--server", "local"],
                    "timeout_ms": 15000,
                },
            }
        }
    }
    assert values(bench, "meshproxy.config.toml") == {"model_provider": "meshproxy", "model": "gpt-5"}


@pytest.mark.parametrize("says", ["codex-cli 0.134.0", "codex-cli 0.169.0", "codex-cli 1.0.0-beta", "no number", ""])
def test_current_releases_get_a_profile_file(bench: Workbench, says: str) -> None:
    install(bench, says)
    bench.configure(CODEX)
    assert "profiles" not in values(bench)
    assert values(bench, "meshproxy.config.toml")["model_provider"] == "meshproxy"


@pytest.mark.parametrize("says", ["codex-cli 0.129.0", "codex-cli 0.133.9"])
def test_older_releases_get_a_table(bench: Workbench, says: str) -> None:
    install(bench, says)
    bench.configure(CODEX, model="gpt-5")
    assert values(bench)["profiles"] == {"meshproxy": {"model_provider": "meshproxy", "model": "gpt-5"}}
    assert list(bench.files()) == [".codex/config.toml"]
    with pytest.raises(UsageError, match="no profile files"):
        bench.plan(CODEX, standalone=True)


def test_an_upgrade_of_codex_moves_what_we_wrote(bench: Workbench) -> None:
    install(bench, "codex-cli 0.130.0")
    bench.configure(CODEX)
    install(bench, "codex-cli 0.169.0")
    bench.configure(CODEX)
    assert "profiles" not in values(bench)
    bench.undo(CODEX)
    assert bench.files() == {}


def test_releases_that_leak_are_refused(bench: Workbench) -> None:
    install(bench, "codex-cli 0.128.9")
    with pytest.raises(CodexTooOldError, match=r"0\.128\.9"):
        bench.plan(CODEX)


@pytest.mark.parametrize(
    "name", ["openai", "ollama", "lmstudio", "amazon-bedrock", "amazon-bedrock-runtime", "a b", "é"]
)
def test_names_that_codex_does_not_take(bench: Workbench, name: str) -> None:
    with pytest.raises(UsageError):
        bench.plan(CODEX, profile=name)


def test_standalone_leaves_config_alone(bench: Workbench) -> None:
    bench.configure(CODEX, standalone=True)
    assert list(bench.files()) == [".codex/meshproxy.config.toml"]
    assert set(values(bench, "meshproxy.config.toml")) == {"model_provider", "model_providers"}


def test_default_is_set_beside_the_profile(bench: Workbench) -> None:
    bench.configure(CODEX, make_default=True, model="m")
    assert (values(bench)["model_provider"], values(bench)["model"]) == ("meshproxy", "m")


def test_token_from_the_environment(bench: Workbench) -> None:
    bench.configure(CODEX, credentials=Credentials.ENV)
    text = (bench.home / ".codex" / "config.toml").read_text()
    assert 'env_key = "MESHAGENT_ROOM_TOKEN"' in text
    assert ".auth]" not in text


@pytest.mark.parametrize(
    "change", [{"credentials": Credentials.INLINE}, {"env_file": Path(".env")}, {"project": Path()}]
)
def test_options_that_mean_nothing(bench: Workbench, change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        bench.plan(CODEX, **change)


def test_codex_home_is_honoured(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, CODEX_HOME=str(tmp_path / "elsewhere"))
    bench.configure(CODEX)
    assert bench.files() == {}
    assert (tmp_path / "elsewhere" / "config.toml").exists()


LEFTOVER = (
    'profile = "work"\na = 1\n\n[profiles.work]\nmodel = "w" # mine\n[profiles.work.sub]\nx = 2\n\n[profiles.kept]\n'
)


def test_leftovers_are_shown_and_moved(bench: Workbench) -> None:
    path = bench.home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text(LEFTOVER)
    plan = bench.configure(CODEX)
    assert ["stops this Codex" in warning for warning in plan.warnings] == [True, True]
    assert values(bench)["profiles"] == {"kept": {}}
    assert "profile" not in values(bench)
    assert "# mine" in path.read_text()
    assert values(bench, "work.config.toml") == {"model": "w", "sub": {"x": 2}}
    assert not bench.configure(CODEX).changes
    bench.undo(CODEX)
    assert bench.files() == {".codex/config.toml": LEFTOVER.encode()}


def test_a_leftover_under_our_name_joins_our_profile(bench: Workbench) -> None:
    path = bench.home / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('[profiles.meshproxy]\nmodel = "old"\napproval_policy = "never"\n')
    bench.configure(CODEX, model="new")
    assert values(bench, "meshproxy.config.toml") == {
        "model_provider": "meshproxy",
        "model": "new",
        "approval_policy": "never",
    }
    bench.undo(CODEX)
    assert path.read_text() == '[profiles.meshproxy]\nmodel = "old"\napproval_policy = "never"\n'


def test_a_leftover_that_differs_from_its_new_home_is_refused(bench: Workbench) -> None:
    home = bench.home / ".codex"
    home.mkdir()
    (home / "config.toml").write_text(LEFTOVER)
    (home / "work.config.toml").write_text('model = "other"\n')
    before = bench.files()
    with pytest.raises(ConflictError, match="with another value"):
        bench.plan(CODEX)
    assert bench.files() == before


def test_what_wins_is_found(bench: Workbench) -> None:
    managed = bench.machine.root / "etc" / "codex"
    managed.mkdir(parents=True)
    (managed / "managed_config.toml").write_text('model_provider = "theirs"\n[model_providers.meshproxy]\nname="x"\n')
    problems = [one.problem for one in CODEX.check(bench.target("codex", credentials=Credentials.ENV))]
    assert len(problems) == 4
    assert "not on the PATH" in problems[0]
    assert "MESHAGENT_ROOM_TOKEN is not set" in problems[1]
    assert 'managed_config.toml sets model_provider = "theirs"' in problems[2]
    assert "managed_config.toml defines the provider meshproxy" in problems[3]


def test_launch_holds_no_secret_and_writes_nothing(bench: Workbench) -> None:
    run = CODEX.launch(bench.target("codex", model="gpt-5"), ("exec", "hi"))
    assert run.arguments[0] == "codex"
    assert run.arguments[-2:] == ("exec", "hi")
    flags = run.arguments[1:-2]
    assert set(flags[::2]) == {"-c"}
    assert 'model="gpt-5"' in flags
    assert 'model_providers.meshproxy.http_headers.Meshagent-Session="codex-laptop"' in flags
    assert run.token_variables == ()
    assert bench.files() == {}


def test_snippet_is_valid(bench: Workbench) -> None:
    assert tomllib.loads(CODEX.snippet(bench.target("codex")))["model_provider"] == "meshproxy"
