"""Live requests: what the provider does is told apart from what we do."""

from doctor.ward import Patient
from e2e.recording import Behaviour


def test_provider_refuses_the_key(patient: Patient) -> None:
    refusal = Behaviour(status=401, error_code="invalid_api_key", error_message="Incorrect API key provided")
    provider = patient.proxy.provider
    provider.behaviour = refusal
    try:
        ill = patient.doctor("--live")
    finally:
        provider.behaviour = Behaviour()
    assert (ill.code, ill.first) == (1, "live-openai")
    assert "provider refuses the team's key" in ill.check("live-openai")["found"]
    assert "provider add openai" in ill.check("live-openai")["remedy"]


def test_provider_has_a_bad_day(patient: Patient) -> None:
    provider = patient.proxy.provider
    provider.behaviour = Behaviour(status=500)
    try:
        ill = patient.doctor("--live")
    finally:
        provider.behaviour = Behaviour()
    assert (ill.code, ill.first) == (1, "live-openai")
    assert "bad day" in ill.check("live-openai")["found"]


def test_protocol_that_no_agent_uses_only_warns(patient: Patient) -> None:
    patient.configure("codex")
    provider = patient.proxy.provider
    provider.behaviour = Behaviour(status=500)
    try:
        found = patient.doctor("--live")
    finally:
        provider.behaviour = Behaviour()
    assert (found.status("live-openai"), found.status("live-anthropic")) == ("failed", "warning")
