"""`meshproxy doctor` as a person sees it; what it finds is tested in `tests/doctor`."""

import tempfile
from pathlib import Path

import pytest

from fixtures.in_process import InProcess


def test_lines_end_with_what_to_mend_first(run: InProcess) -> None:
    found = run("doctor", "--offline", code=1)
    lines = found.stdout.splitlines()
    assert any(line.startswith("✓ settings file:") for line in lines)
    assert "    → meshproxy api-key create laptop --activate --silent" in lines
    assert lines[-1].startswith("First: API key: there is no API key for the server local → meshproxy api-key create")


def test_json_has_a_schema_version(run: InProcess) -> None:
    found = run("doctor", "--offline", "--json", code=1).json()
    assert (found["schema_version"], found["ok"], found["first"]) == (1, False, "api-key")
    assert {one["status"] for one in found["checks"]} >= {"ok", "failed", "unknown"}


def test_agent_is_run_only_after_asking(run: InProcess) -> None:
    error = run("doctor", "--no-live", "--agent", "codex", code=2).stderr
    assert "--yes" in error


def test_nothing_safe_to_fix(run: InProcess) -> None:
    assert "nothing that can be mended safely" in run("doctor", "--offline", "--fix", code=1).stderr


def test_report_is_private(run: InProcess, tmp_path: Path) -> None:
    run("doctor", "--offline", "--report", str(tmp_path / "r.json"), code=1)
    assert (tmp_path / "r.json").stat().st_mode & 0o777 == 0o600


def test_warnings_alone_break_nothing(run: InProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where the tests' own checkout is not
    run("api-key", "create", "laptop", "--activate", "--silent")
    run("config", "set", "room", "r")
    monkeypatch.setenv("MESHPROXY_KEYRING", "auto")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    assert run("doctor", "--offline").stdout.splitlines()[-1].startswith("All works. What may surprise, first: keyring")
    monkeypatch.setenv("MESHPROXY_KEYRING", "file")
    assert run("doctor", "--offline").stdout.splitlines()[-1] == "All is well."


def test_misspelt_agent_is_told_at_once(run: InProcess) -> None:
    found = run("doctor", "--offline", "--agent", "codx", code=2)
    assert "did you mean codex?" in found.stderr
    assert found.stdout == ""
