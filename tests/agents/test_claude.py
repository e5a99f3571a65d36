"""Claude Code: settings, headers merged by name, `.env` blocks, and what wins over us."""

import json
import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agents.workbench import Workbench
from meshproxy_cli.agents.base import Credentials
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit import show
from meshproxy_cli.errors import UsageError

CLAUDE = Claude()
HELPER = "'/opt/mesh proxy/bin/meshproxy' token get --room my-room --server local"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)


def settings(bench: Workbench) -> dict[str, object]:
    found: dict[str, object] = json.loads((bench.home / ".claude" / "settings.json").read_text())
    return found


def test_what_is_written(bench: Workbench) -> None:
    bench.configure(CLAUDE, model="claude-x")
    assert settings(bench) == {
        "apiKeyHelper": HELPER,
        "env": {
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:8765/rooms/my-room/anthropic",
            "ANTHROPIC_AUTH_TOKEN": "",
            "ANTHROPIC_API_KEY": "",
            "ANTHROPIC_MODEL": "claude-x",
            "ANTHROPIC_CUSTOM_HEADERS": "Meshagent-Session: claude-laptop",
        },
    }


def test_room_names_are_quoted_in_urls(bench: Workbench) -> None:
    assert bench.target("claude", room="a b/ü").anthropic_url.endswith("/rooms/a%20b%2F%C3%BC/anthropic")


def test_headers_are_merged_by_name(bench: Workbench) -> None:
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    before = json.dumps({"env": {"ANTHROPIC_CUSTOM_HEADERS": "X-A: 1\nMESHAGENT-session: old\nX-B: 2"}})
    path.write_text(before)
    bench.configure(CLAUDE)
    headers = settings(bench)["env"]["ANTHROPIC_CUSTOM_HEADERS"]  # type: ignore[index]
    assert headers == "X-A: 1\nMeshagent-Session: claude-laptop\nX-B: 2"
    bench.undo(CLAUDE)
    assert path.read_text() == before


def test_the_diff_masks_the_persons_own_key(bench: Workbench) -> None:
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(
        json.dumps({"env": {"ANTHROPIC_API_KEY": "sk-ant-secret-1234", "DB_PASSWORD": "hunter22"}}, indent=1)
    )
    diff = show.diff(bench.plan(CLAUDE).edits)
    assert "secret-1234" not in diff
    assert "hunter22" not in diff
    assert '+  "ANTHROPIC_API_KEY": ""' in diff
    assert "token get --room" in diff


def test_project_and_config_dir(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, CLAUDE_CONFIG_DIR=str(tmp_path / "home" / "cfg"))
    bench.configure(CLAUDE)
    bench.configure(CLAUDE, project=bench.home / "repo", profile="other")
    assert sorted(bench.files()) == ["cfg/settings.json", "repo/.claude/settings.local.json"]


def test_token_from_the_environment(bench: Workbench) -> None:
    bench.configure(CLAUDE, credentials=Credentials.ENV)
    line = str(settings(bench)["apiKeyHelper"])
    done = subprocess.run(line, shell=True, env={"MESHAGENT_ROOM_TOKEN": "tok en"}, capture_output=True, check=True)
    assert done.stdout == b"tok en"


def test_a_token_is_never_written_into_settings(bench: Workbench) -> None:
    with pytest.raises(UsageError):
        bench.plan(CLAUDE, credentials=Credentials.INLINE)


def helper(bench: Workbench) -> tuple[str, ...]:
    program = bench.home.parent / "bin" / "it's a helper"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\necho "token for $*"\n')
    program.chmod(0o755)
    return (str(program), "token", "get")


def test_env_file_can_be_sourced_and_gets_its_token_from_our_command(bench: Workbench) -> None:
    path = bench.home / ".env"
    path.write_text("MINE=1\n")
    bench.configure(CLAUDE, env_file=path, helper=helper(bench), session="it's mine")
    script = f'. "{path}"; sh -c \'echo "$ANTHROPIC_AUTH_TOKEN|$ANTHROPIC_CUSTOM_HEADERS|$ANTHROPIC_API_KEY|"\''
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "x"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == "token for token get|Meshagent-Session: it's mine||"
    bench.undo(CLAUDE)
    assert path.read_text() == "MINE=1\n"


def test_inline_is_private_and_git_is_asked(bench: Workbench) -> None:
    bench.machine = replace(bench.machine, environ=dict(os.environ))
    subprocess.run(["git", "init", "-q", str(bench.home)], check=True)
    path = bench.home / ".env"
    path.write_text("MINE=1\n")
    path.chmod(0o644)
    plan = bench.configure(CLAUDE, env_file=path, credentials=Credentials.INLINE, token="eyJhbGciOi.abc.def")
    assert ["git would track" in warning for warning in plan.warnings] == [True]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "ANTHROPIC_AUTH_TOKEN=eyJhbGciOi.abc.def\n" in path.read_text()
    assert "export" not in path.read_text()
    assert "eyJhbGciOi.abc.def" not in show.diff(plan.edits)
    bench.undo(CLAUDE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    (bench.home / ".gitignore").write_text(".env\n")
    assert bench.plan(CLAUDE, env_file=path, credentials=Credentials.INLINE, token="t").warnings == ()


def found(bench: Workbench, **environ: str) -> str:
    machine = Machine({**bench.machine.environ, **environ}, bench.home, bench.home / "repo", bench.machine.root)
    return "\n".join(one.problem for one in CLAUDE.check(replace(bench.target("claude"), machine=machine)))


def test_what_wins_is_found(bench: Workbench) -> None:
    (bench.home / "repo" / ".claude").mkdir(parents=True)
    (bench.home / ".claude.json").write_text('{"hasCompletedOnboarding": true}')
    program = bench.home.parent / "bin" / "claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert found(bench) == ""
    assert "CLAUDE_CODE_USE_BEDROCK is set" in found(bench, CLAUDE_CODE_USE_BEDROCK="1")
    assert found(bench, CLAUDE_CODE_USE_BEDROCK="0", ANTHROPIC_BASE_URL="http://shell") == ""
    local = bench.home / "repo" / ".claude" / "settings.local.json"
    local.write_text('{"env": {"ANTHROPIC_BASE_URL": "x"}}')
    assert "settings.local.json sets ANTHROPIC_BASE_URL" in found(bench)
    local.unlink()
    managed = bench.machine.root / "etc" / "claude-code" / "managed-settings.json"
    managed.parent.mkdir(parents=True)
    managed.write_text('{"forceLoginMethod": "console", "apiKeyHelper": "x"}')
    assert "forceLoginMethod" in found(bench)
    assert "sets apiKeyHelper" in found(bench)


def test_a_fresh_machine_and_comments_are_told(bench: Workbench) -> None:
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text('{"a": 1, // mine\n}')
    bench.configure(CLAUDE)
    assert "comments or trailing commas" in found(bench)
    assert "not set up on this machine" in found(bench)


def test_launch_merges_headers_and_cancels_keys(bench: Workbench) -> None:
    path = bench.home / ".claude" / "settings.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"env": {"ANTHROPIC_CUSTOM_HEADERS": "X-A: 1"}}))
    run = CLAUDE.launch(bench.target("claude"), ("-p", "hi"))
    assert run.arguments[:2] == ("claude", "--settings")
    assert run.arguments[3:] == ("-p", "hi")
    inline = json.loads(run.arguments[2])
    assert inline["env"]["ANTHROPIC_CUSTOM_HEADERS"] == "X-A: 1\nMeshagent-Session: claude-laptop"
    assert inline["env"]["ANTHROPIC_API_KEY"] == ""
    with pytest.raises(UsageError):
        CLAUDE.launch(bench.target("claude"), ("--settings=x",))


def test_snippets(bench: Workbench) -> None:
    assert json.loads(CLAUDE.snippet(bench.target("claude")))["apiKeyHelper"] == HELPER
    assert "export ANTHROPIC_BASE_URL=" in CLAUDE.snippet(bench.target("claude", env_file=Path(".env")))
