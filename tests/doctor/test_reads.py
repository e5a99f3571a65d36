"""What an agent really reads, and who is logged in."""

import json
import subprocess
from pathlib import Path

import pytest

from doctor.broken_installs import Patient
from meshproxy_cli.agents.claude_check import login
from meshproxy_cli.agents.machine import Machine

ACCOUNT = {"hasCompletedOnboarding": True, "oauthAccount": {"emailAddress": "ada@example.com"}}


@pytest.mark.parametrize(("agent", "variable"), [("codex", "CODEX_HOME"), ("claude", "CLAUDE_CONFIG_DIR")])
def test_variable_leads_the_agent_elsewhere(patient: Patient, agent: str, variable: str) -> None:
    patient.configure(agent)
    other = patient.home.root / "other"
    other.mkdir()
    patient.environ[variable] = str(other)
    ill = patient.is_fixed(f"agent-reads/{agent}")
    assert str(other) in ill.check(f"agent-reads/{agent}")["found"]


def test_variable_that_was_set_then_is_not_set_now(patient: Patient) -> None:
    other = patient.home.root / "other"
    other.mkdir()
    patient.environ["CODEX_HOME"] = str(other)
    patient.configure("codex")
    del patient.environ["CODEX_HOME"]
    patient.is_fixed("agent-reads/codex")


def log_in(patient: Patient) -> None:
    """Let Claude Code know an account of the patient's own."""
    (patient.home.directory / ".claude.json").write_text(json.dumps(ACCOUNT))
    credentials = patient.home.directory / ".claude" / ".credentials.json"
    credentials.parent.mkdir(exist_ok=True)
    credentials.write_text('{"claudeAiOauth": {"accessToken": "sk-ant-oat01-personal-of-ada"}}')


def test_login_beside_our_settings_is_no_harm(patient: Patient) -> None:
    patient.configure("claude")
    log_in(patient)
    found = patient.doctor()
    assert (found.code, found.status("agent-login/claude")) == (0, "ok")
    assert "ada@example.com; the token command comes first" in found.check("agent-login/claude")["found"]


def test_login_would_be_sent_to_the_room(patient: Patient) -> None:
    project = patient.home.root / "project"
    project.mkdir()
    patient.configure("claude", "--env-file", str(project / ".env"))
    log_in(patient)
    patient.environ["ANTHROPIC_BASE_URL"] = f"{patient.proxy.url}/rooms/{patient.room}/anthropic"
    ill = patient.is_fixed("agent-login/claude")
    assert "login of ada@example.com" in ill.check("agent-login/claude")["found"]


def test_shell_has_not_read_the_env_file(patient: Patient) -> None:
    project = patient.home.root / "project"
    project.mkdir()
    patient.configure("claude", "--env-file", str(project / ".env"))
    log_in(patient)
    found = patient.doctor()
    assert (found.code, found.status("agent-login/claude")) == (0, "warning")
    remedy = found.check("agent-login/claude")["remedy"]
    assert patient.doctor(remedy=remedy).status("agent-login/claude") == "ok"


def test_who_is_logged_in(tmp_path: Path) -> None:
    machine = Machine({}, tmp_path, tmp_path)
    assert login(machine) is None
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text('{"claudeAiOauth": {"accessToken": "x"}}')
    assert login(machine) == "an account"
    (tmp_path / ".claude.json").write_text(json.dumps(ACCOUNT))
    assert login(machine) == "ada@example.com"
    moved = Machine({"CLAUDE_CONFIG_DIR": str(tmp_path / "elsewhere")}, tmp_path, tmp_path)
    assert login(moved) is None


def test_git_tracks_the_env_file(patient: Patient) -> None:
    project = patient.home.root / "project"
    project.mkdir()
    patient.configure("claude", "--env-file", str(project / ".env"), "--credentials", "inline")
    track(project, patient)
    ill = patient.is_fixed("agent-env-file/claude")
    assert "tracks" in ill.check("agent-env-file/claude")["found"]


def test_git_tracks_a_key_in_this_directory(patient: Patient) -> None:
    project = patient.home.root / "project"
    project.mkdir()
    (project / ".env").write_text(f"MESHAGENT_API_KEY={patient.proxy.key.encode()}\n")
    patient.directory = project
    assert patient.doctor("--offline").status("dotenv") == "ok"
    track(project, patient)
    patient.is_fixed("dotenv", "--offline")


def test_env_file_without_a_key_may_be_tracked(patient: Patient) -> None:
    project = patient.home.root / "project"
    project.mkdir()
    (project / ".env").write_text("PORT=8080\n")
    patient.directory = project
    track(project, patient)
    assert patient.doctor("--offline").status("dotenv") == "ok"


def track(project: Path, patient: Patient) -> None:
    """Let git track the project's `.env`."""
    for words in (["init", "-q"], ["add", "-f", ".env"]):
        subprocess.run(["git", *words], cwd=project, check=True, env=patient.home.environ(), timeout=20)
