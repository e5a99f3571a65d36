"""What GitHub and pre-commit read from the repository: it parses, and every version is fixed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
FORMS = [path for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.y*ml")) if path.stem != "config"]
_LOCKED = dict(
    re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
)


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(read(path)["jobs"].values())


def named(directory: str) -> set[str]:
    """Return the names of the files in `directory`, without `.yml`."""
    return {path.stem for path in (ROOT / directory).iterdir()}


def test_workflows_and_templates_are_there() -> None:
    assert named(".github/workflows") == {"test", "release"}
    assert named(".github/ISSUE_TEMPLATE") == {"bug", "feature", "config"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_complete(path: Path) -> None:
    workflow = read(path)
    assert workflow[True], "`on`, which YAML 1.1 reads as a boolean"
    assert workflow["permissions"] == {"contents": "read"}
    for job in jobs(path):
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / "docs" / "ci.md"], ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    used = re.findall(r"\buses:\s*(.+)", path.read_text(encoding="utf-8"))
    assert used
    assert [use for use in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", use)] == []


def test_one_action_has_one_version() -> None:
    used = {use for path in WORKFLOWS for use in re.findall(r"\buses:\s*(.+)", path.read_text(encoding="utf-8"))}
    assert len(used) == len({use.partition("@")[0] for use in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_scripts_of_workflows_exist(path: Path) -> None:
    commands = [step["run"] for job in jobs(path) for step in job["steps"] if "run" in step]
    scripts = [word for command in commands for word in re.findall(r"(?:\./)?((?:scripts|tests)/\w+)", command)]
    assert scripts
    assert [script for script in scripts if not (ROOT / script).exists()] == []


def test_only_publishing_may_ask_for_an_identity() -> None:
    allowed = [
        (path.stem, name) for path in WORKFLOWS for name, job in read(path)["jobs"].items() if "permissions" in job
    ]
    assert allowed == [("release", "publish")]
    publish = read(ROOT / ".github/workflows/release.yml")["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_form_is_complete(path: Path) -> None:
    form = read(path)
    assert {"name", "description", "body"} <= set(form)
    assert [item for item in form["body"] if item["type"] != "markdown" and not item["attributes"]["label"]] == []


def test_pre_commit_runs_the_locked_versions() -> None:
    repositories = [one for one in read(ROOT / ".pre-commit-config.yaml")["repos"] if one["repo"] != "local"]
    versions = {one["hooks"][0]["id"].partition("-")[0]: one["rev"] for one in repositories}
    assert versions == {name: f"v{_LOCKED[name]}" for name in ("ruff", "codespell")}
