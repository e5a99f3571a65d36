"""The command line that agents run."""

import subprocess
import sys
from pathlib import Path

import pytest

from meshproxy_cli.agents import helper
from meshproxy_cli.agents.helper import helper_command, survives
from meshproxy_cli.errors import UnavailableError


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


def test_without_a_script_python_leaves_the_current_directory_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "_own_script", lambda: None)
    assert helper_command("r", {})[:4] == (sys.executable, "-I", "-m", "meshproxy_cli")


def test_no_safe_command_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "_own_script", lambda: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UnavailableError) as caught:
        helper_command("r", {})
    assert "pipx" in str(caught.value.hint)


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
