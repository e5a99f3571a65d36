"""The command line that agents run."""

import subprocess
import sys
from pathlib import Path

import pytest

from meshproxy_cli.agents.helper import helper_command, survives


def test_the_program_is_absolute_and_our_own() -> None:
    command = helper_command("my room", {}, server="team")
    assert Path(command[0]).is_absolute()
    assert command[-6:] == ("token", "get", "--room", "my room", "--server", "team")
    assert subprocess.run([command[0], "--version"], capture_output=True, check=True).stdout.startswith(b"meshproxy")


def test_a_link_on_the_path_is_preferred(tmp_path: Path) -> None:
    own = Path(sys.executable).with_name("meshproxy")
    (tmp_path / "meshproxy").symlink_to(own)
    assert helper_command("r", {"PATH": str(tmp_path)})[0] == str(tmp_path / "meshproxy")


def test_another_installation_on_the_path_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "meshproxy").write_text("#!/bin/sh\n")
    (tmp_path / "meshproxy").chmod(0o755)
    assert helper_command("r", {"PATH": str(tmp_path)})[0] == str(Path(sys.executable).with_name("meshproxy"))


def test_without_a_script_the_interpreter_runs_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))


def test_where_the_state_lies_is_carried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = helper_command("r", {"MESHPROXY_HOME": "state", "MESHPROXY_KEYRING": "file"})
    assert command[:3] == ("/usr/bin/env", f"MESHPROXY_HOME={tmp_path / 'state'}", "MESHPROXY_KEYRING=file")


@pytest.mark.parametrize(
    ("program", "stays"),
    [
        ("/usr/local/bin/meshproxy", True),
        ("/home/me/.cache/uv/archive-v0/abc/bin/meshproxy", False),
        ("/tmp/venv/bin/meshproxy", False),
    ],
)
def test_what_may_be_gone_tomorrow(program: str, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/tmp")
    assert survives((program, "token")) is stays
    assert survives(("/usr/bin/env", "MESHPROXY_HOME=/tmp/x", program, "token")) is stays
