"""Live requests: what the provider does is told apart from what we do."""

import re
import time

import pytest

from doctor.broken_installs import PATIENCE_S, Patient
from e2e.recording import ANTHROPIC_KEY, OPENAI_KEY, Behavior


def test_provider_refuses_the_key(strict_owner: Patient) -> None:
    strict_owner.create_room()
    add = ("provider", "add", "openai", "--base-url", f"{strict_owner.proxy.provider.origin}/v1", "--api-key", "-")
    strict_owner.cli(*add, stdin="sk-of-somebody-else")
    strict_owner.cli("reload")
    ill = strict_owner.is_fixed("live-openai", "--live", stdin=OPENAI_KEY)
    assert "provider refuses the team's key" in ill.check("live-openai")["found"]


def test_only_the_echo_provider_answers(strict_owner: Patient) -> None:
    strict_owner.create_room()
    strict_owner.cli("provider", "remove", "anthropic")
    strict_owner.cli("reload")
    found = strict_owner.doctor("--live")
    assert (found.code, found.status("live-openai"), found.status("live-anthropic")) == (0, "ok", "warning")
    remedy = found.check("live-anthropic")["remedy"]
    assert remedy == "meshproxy provider add anthropic --api-key - && meshproxy reload"
    here = remedy.replace("anthropic --api-key", f"anthropic --base-url {strict_owner.proxy.provider.origin} --api-key")
    assert strict_owner.doctor("--live", remedy=here, stdin=ANTHROPIC_KEY).status("live-anthropic") == "ok"


@pytest.mark.parametrize(
    ("model", "tried"), [("openai/gpt-4.1-nano", "gpt-4.1-nano answered"), ("openai/*", "gpt-5.4-mini answered")]
)
def test_a_model_that_the_room_allows_is_tried(patient: Patient, model: str, tried: str) -> None:
    patient.cli("room", "create", patient.room, "--model", model)
    found = patient.doctor("--live")
    assert found.code == 0
    assert tried in found.check("live-openai")["found"]
    assert "not tried" in found.check("live-anthropic")["found"]


def test_rate_is_used_up(patient: Patient) -> None:
    patient.cli("limit", "set", "requests-per-minute", "1", "--room", patient.room)
    deadline = time.monotonic() + PATIENCE_S  # a running server hears of a limit within a second
    while (ill := patient.doctor("--live")).code == 0:
        assert time.monotonic() < deadline
    refused = ill.check(ill.first or "")
    assert refused["id"] in {"live-openai", "live-anthropic"}
    assert "has reached its limit of 1 request a minute" in refused["found"]
    assert re.fullmatch(r"sleep \d+", refused["remedy"])


def test_provider_has_a_bad_day(patient: Patient) -> None:
    provider = patient.proxy.provider
    provider.behavior = Behavior(status=500)
    try:
        ill = patient.doctor("--live")
    finally:
        provider.behavior = Behavior()
    assert (ill.code, ill.first) == (1, "live-openai")
    assert "bad day" in ill.check("live-openai")["found"]


def test_protocol_that_no_agent_uses_only_warns(patient: Patient) -> None:
    patient.configure("codex")
    provider = patient.proxy.provider
    provider.behavior = Behavior(status=500)
    try:
        found = patient.doctor("--live")
    finally:
        provider.behavior = Behavior()
    assert (found.status("live-openai"), found.status("live-anthropic")) == ("failed", "warning")


def test_room_goes_by_a_provider_that_is_not_there(patient: Patient) -> None:
    patient.cli("room", "create", patient.room, "--provider", "openai=elsewhere")
    patient.configure("codex")
    deadline = time.monotonic() + PATIENCE_S
    while (ill := patient.doctor("--live")).code == 0 and time.monotonic() < deadline:
        time.sleep(0.2)  # the running server hears of the room within a second
    assert (ill.code, ill.first) == (1, "live-openai")
    remedy = "meshproxy provider add openai --name elsewhere --api-key - && meshproxy reload"
    assert ill.check("live-openai")["remedy"] == remedy
