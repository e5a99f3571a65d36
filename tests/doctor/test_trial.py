"""The real agent, run once."""

import pytest

from doctor.broken_installs import Patient
from meshproxy_cli.doctor.trial import trial_check
from meshproxy_cli.errors import UsageError

pytestmark = pytest.mark.e2e


def test_codex_is_run_once(patient: Patient) -> None:
    patient.configure("codex", "--model", "gpt-5.4")
    found = patient.doctor("--no-live", "--agent", "codex", "--yes")
    assert (found.code, found.status("run-codex")) == (0, "ok"), found.broken
    assert "The provider heard" in found.check("run-codex")["found"]


def test_agent_that_is_not_configured(patient: Patient) -> None:
    found = patient.doctor("--no-live", "--agent", "codex", "--yes")
    assert (found.code, found.first) == (1, "run-codex")
    assert found.check("run-codex")["remedy"].startswith("meshproxy configure codex --room")


def test_unknown_agent() -> None:
    with pytest.raises(UsageError):
        trial_check("emacs")
