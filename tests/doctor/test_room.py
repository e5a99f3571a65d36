"""What can be wrong with room and token, models and budgets."""

import time

from doctor.broken_installs import PATIENCE_S, Patient

SPEC = "version: v1\nkind: ParticipantToken\nidentity: ada\nroom: {room}\napi:\n  llm: {llm}\n"


def import_token(patient: Patient, llm: str, *options: str) -> None:
    spec = patient.home.root / "spec.yaml"
    spec.write_text(SPEC.format(room=patient.room, llm=llm), encoding="utf-8")
    token = patient.cli("token", "generate", "--spec", str(spec), *options).stdout
    patient.cli("token", "import", stdin=token)


def test_no_room(patient: Patient) -> None:
    patient.settings_file.unlink()
    patient.is_fixed("room")


def test_name_that_is_no_room(patient: Patient) -> None:
    patient.environ["MESHAGENT_ROOM"] = " "
    patient.is_fixed("room")


def test_room_with_a_typo_is_a_warning(patient: Patient) -> None:
    patient.cli("room", "create", patient.room + "s")
    found = patient.doctor()
    assert (found.code, found.status("room")) == (0, "warning")
    remedy = found.check("room")["remedy"]
    assert patient.doctor(remedy=remedy).status("room") == "ok"


def test_imported_token_has_expired(patient: Patient) -> None:
    import_token(patient, "{}", "--expires-in", "2s")
    patient.cli("secret", "forget", "api-key/local")
    time.sleep(2)
    patient.is_fixed("api-key")


def test_imported_token_does_not_allow_the_model(patient: Patient) -> None:
    import_token(patient, '{models: ["openai/gpt-4*"]}')
    patient.configure("codex", "--model", "gpt-5.4")
    patient.is_fixed("models")


def test_room_does_not_allow_the_model(patient: Patient) -> None:
    patient.cli("room", "create", patient.room, "--model", "openai/gpt-4*")
    patient.configure("codex", "--model", "gpt-5.4")
    patient.is_fixed("models")


def spend(patient: Patient) -> None:
    """Send a request of each protocol, which costs a little, and wait until both are counted."""
    assert patient.doctor("--live").code == 0
    deadline = time.monotonic() + PATIENCE_S
    while patient.cli("usage", "--room", patient.room, "--json").json()["totals"]["requests"] < 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_budget_is_spent(patient: Patient) -> None:
    patient.configure("codex", "--session", "meshproxy-doctor")
    spend(patient)
    patient.environ["LOGNAME"] = "doctor"  # the participant of doctor's requests
    for whose in (("--room", patient.room), ("--room", "*"), ("--session", "*"), ("--participant", "doctor")):
        patient.cli("limit", "set", "usd-per-day", "0.000001", *whose)
        try:
            ill = patient.is_fixed("limits")
        finally:
            patient.proxy.cli("limit", "remove", "usd-per-day", *whose)
        found = ill.check("limits")["found"]
        assert "$0.000001 a day is used up" in found
        assert "it can go on from" in found


def test_limit_that_refuses_everything(patient: Patient) -> None:
    patient.cli("limit", "set", "requests-per-minute", "0", "--room", patient.room)
    assert "which refuses everything" in patient.is_fixed("limits").check("limits")["found"]


def test_strict_server_does_not_know_the_room(strict_owner: Patient) -> None:
    assert "there is no room" in strict_owner.is_fixed("accepted").check("accepted")["found"]


def test_room_with_a_typo_on_a_strict_server(strict_owner: Patient) -> None:
    strict_owner.cli("room", "create", strict_owner.room)
    strict_owner.environ["MESHAGENT_ROOM"] = strict_owner.room + "s"
    ill = strict_owner.is_fixed("accepted")
    assert ill.check("accepted")["remedy"] == f"export MESHAGENT_ROOM={strict_owner.room}"
