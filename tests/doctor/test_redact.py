"""A report holds nothing that must not be in one."""

from pathlib import Path

from doctor.ward import Patient
from meshproxy_cli.doctor.redact import redact_all, redacted
from meshproxy_cli.tokens.apikey import ApiKey

HOME = Path("/home/ada")


def test_secrets_users_hosts_and_names_are_taken_out() -> None:
    key = ApiKey.generate("6f1f9f2e-0000-4000-8000-000000000000").encode()
    text = f"{key} eyJhbGciOi.eyJzdWIi.c2ln sk-proj-abcdefgh /home/ada/x https://u:p@mesh.example.com/v1 ada"
    cleaned = redacted(text, HOME, {"ada": "USER"})
    assert cleaned == "(secret) (secret) (secret) ~/x https://HOST/v1 USER"


def test_this_machine_may_be_named() -> None:
    assert redacted("http://127.0.0.1:8765/x", HOME, {}) == "http://127.0.0.1:8765/x"


def test_all_of_a_json_value_is_redacted() -> None:
    assert redact_all({"a": ["/home/ada", 1, None]}, HOME, {}) == {"a": ["~", 1, None]}


def test_report_of_a_real_run(patient: Patient) -> None:
    report = patient.home.root / "report.json"
    patient.environ["MESHAGENT_API_URL"] = "https://secret-host.example.com:1"
    patient.doctor("--offline", "--report", str(report))
    text = report.read_text(encoding="utf-8")
    patient.cli.check(text, "the report")
    assert "https://HOST:1" in text
    assert "secret-host" not in text
