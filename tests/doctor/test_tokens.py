"""The token of an agent that runs no command for one."""

import hashlib
import json
import time

from doctor.broken_installs import Patient

VARIABLE = "MESHAGENT_ROOM_TOKEN"


def fresh(patient: Patient, *options: str) -> str:
    return patient.cli("token", "get", "--room", patient.room, *options).stdout.strip()


def test_token_in_the_variable_has_expired(patient: Patient) -> None:
    patient.configure("codex", "--credentials", "env")
    patient.environ[VARIABLE] = fresh(patient, "--expires-in", "1s")
    time.sleep(1.1)
    ill = patient.is_fixed("token")
    assert "the token in MESHAGENT_ROOM_TOKEN: the token has expired" in ill.check("token")["found"]


def test_one_of_several_agents_reads_a_token_of_another_room(patient: Patient) -> None:
    patient.configure("claude")
    patient.configure("codex", "--credentials", "env")
    patient.environ[VARIABLE] = patient.cli("token", "get", "--room", "another").stdout.strip()
    ill = patient.is_fixed("agent-helper/codex")
    assert "it is for the room another" in ill.check("agent-helper/codex")["found"]


def test_a_job_has_a_token_of_one_session_and_no_key(patient: Patient) -> None:
    patient.configure("codex", "--credentials", "env", "--session", "ci", "--model", "gpt-5.4")
    patient.environ[VARIABLE] = fresh(patient, "--session", "ci")
    patient.cli("secret", "forget", "api-key/local")
    found = patient.doctor("--live")
    assert found.code == 0, found.broken
    assert "tokens counted" in found.check("live-openai")["found"]


def test_imported_token_is_good_for_one_session(patient: Patient) -> None:
    patient.cli("token", "import", stdin=fresh(patient, "--session", "only-this"))
    found = patient.doctor("--live")
    assert found.code == 0, found.broken
    assert "tokens counted" in found.check("live-anthropic")["found"]


def test_agent_that_runs_no_command_has_no_token_in_this_shell(patient: Patient) -> None:
    patient.configure("opencode", "--model", "gpt-5.4")
    found = patient.doctor()
    assert (found.code, found.status("agent-helper/opencode")) == (0, "warning"), found.broken
    remedy = found.check("agent-helper/opencode")["remedy"]
    assert patient.doctor(remedy=remedy).status("agent-helper/opencode") == "ok"


def test_token_in_the_env_file_has_expired(patient: Patient) -> None:
    file = patient.home.root / "project" / ".env"
    file.parent.mkdir()
    patient.configure("claude", "--env-file", str(file), "--credentials", "inline")
    receipt = next((patient.home.state / "data" / "receipts").glob("claude-*.json"))
    old, new = fresh(patient, "--expires-in", "1s"), file.read_text().partition("ANTHROPIC_AUTH_TOKEN=")[2].split()[0]
    file.write_text(file.read_text().replace(new.strip("'\""), old))
    receipt.write_text(_as_written(receipt.read_text(), file.read_bytes()))
    time.sleep(1.1)
    patient.is_fixed("agent-helper/claude")


def _as_written(receipt: str, content: bytes) -> str:
    """Return the receipt of a file as if meshproxy had written that content a day ago."""
    data = json.loads(receipt)
    data["files"][0]["after"] = hashlib.sha256(content).hexdigest()
    return json.dumps(data)
