"""docs/ci.md: the job's own step, run as it stands there, with nothing but the one secret."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.agents import Agents
from fixtures.commands import Home
from fixtures.proxies import RoomProxy

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ci.md"


def the_step() -> dict[str, Any]:
    """Return the last step of the page's workflow."""
    workflow = re.search(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert workflow is not None
    step: dict[str, Any] = yaml.safe_load(workflow[1])["jobs"]["codex"]["steps"][-1]
    return step


def test_the_job_runs_codex_with_one_secret(
    room_proxy: RoomProxy, agents: Agents, meshproxy_home: Home, tmp_path: Path
) -> None:
    step = the_step()
    environ = {"MESHAGENT_API_KEY": room_proxy.key.encode(), "MESHAGENT_API_URL": room_proxy.url}
    assert set(step["env"]) == set(environ)
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", checkout], check=True)

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step["run"]],
        env=meshproxy_home.environ(agents.path(meshproxy_home, "codex") | environ),
        cwd=checkout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("The provider heard: Review the last commit; be brief.")
    room_proxy.cli.check(done.stdout + done.stderr, "the job's log")
    report = room_proxy.usage("--session", "codex-ci", requests=1)
    assert report["totals"]["requests"] == 1
    written = [file for file in meshproxy_home.root.rglob("*") if file.is_file() and not file.is_symlink()]
    assert [file for file in written if room_proxy.key.secret.encode() in file.read_bytes()] == []
