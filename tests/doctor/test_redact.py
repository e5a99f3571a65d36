"""A report holds nothing that must not be in one."""

import socket
from pathlib import Path

import pytest

from doctor.broken_installs import Patient
from meshproxy_cli.doctor.redact import redact_all, redacted
from meshproxy_cli.tokens.apikey import ApiKey

HOME = Path("/home/ada")


def test_secrets_users_hosts_and_names_are_taken_out() -> None:
    key = ApiKey.generate("6f1f9f2e-0000-4000-8000-000000000000").encode()
    text = f"{key} eyJhbGciOi.eyJzdWIi.c2ln sk-proj-abcdefgh /home/ada/x https://u:p@mesh.example.com/v1 ada"
    cleaned = redacted(text, HOME, {"ada": "USER"})
    assert cleaned == "(secret) (secret) (secret) ~/x https://HOST/v1 USER"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("mpa_abcdefghijklmno", "(secret)"),
        ("of ada.l+x@mesh.example.com: no", "of EMAIL: no"),
        ("mesh is 10.1.2.3, 2001:db8:0:1::7", "mesh is ADDRESS, ADDRESS"),
        ("127.0.0.1 port 8765, Python 3.11.7, meshproxy 0.1.0", "127.0.0.1 port 8765, Python 3.11.7, meshproxy 0.1.0"),
        ("it can go on from 24 November 2026, 00:00 UTC", "it can go on from 24 November 2026, 00:00 UTC"),
    ],
)
def test_what_looks_like_one(text: str, cleaned: str) -> None:
    assert redacted(text, HOME, {}) == cleaned


def test_secrets_in_other_programs_words_are_not_shown(patient: Patient) -> None:
    patient.configure("codex")
    patient.environ |= {"PYTHONPATH": str(patient.home.root), "TEAM_PASSWORD": "open sesame and more"}
    planted = f"open sesame and more, {patient.proxy.key.encode()}, mpa_abcdefghijklmnop, sk-proj-abcdefghijkl"
    fail = f"import os, sys\nprint({planted!r}, file=sys.stderr, flush=True)\nos._exit(3)\n"
    (patient.home.root / "sitecustomize.py").write_text(fail)
    found = patient.doctor()  # which looks through all it prints for the API key
    assert found.first == "agent-helper/codex"
    assert found.check("agent-helper/codex")["found"] == "(secret), (secret), (secret), (secret)"


def test_this_machine_may_be_named() -> None:
    assert redacted("http://127.0.0.1:8765/x", HOME, {}) == "http://127.0.0.1:8765/x"


def test_all_of_a_json_value_is_redacted() -> None:
    assert redact_all({"a": ["/home/ada", 1, None]}, HOME, {}) == {"a": ["~", 1, None]}


def test_report_of_a_real_run(patient: Patient) -> None:
    report = patient.home.root / "report.json"
    patient.environ["MESHAGENT_API_URL"] = "https://secret-host.example.com:1"
    machine = socket.gethostname().partition(".")[0]
    patient.cli(
        "configure", "claude", "--room", patient.room, "--server", "local", "--session", f"x-{machine}", "--yes"
    )
    patient.doctor("--offline", "--report", str(report))
    text = report.read_text(encoding="utf-8")
    patient.cli.check(text, "the report")
    assert "https://HOST:1" in text
    assert "secret-host" not in text
    assert f"x-{machine}" not in text
    del patient.environ["MESHAGENT_API_URL"]
    patient.doctor("--offline", "--report", str(report))
    assert "session x-MACHINE" in report.read_text(encoding="utf-8")
