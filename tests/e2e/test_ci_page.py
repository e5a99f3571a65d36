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
from meshproxy_cli.tokens.participant import decode_unverified

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ci.md"


def blocks() -> list[str]:
    """Return the page's YAML."""
    return re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def the_step() -> dict[str, Any]:
    """Return the one step of the shorter way."""
    [step] = yaml.safe_load(blocks()[1])
    return dict(step)


def test_what_the_job_needs_is_installed_before() -> None:
    used = [step.get("uses") or step.get("run") for step in yaml.safe_load(blocks()[0])["jobs"]["codex"]["steps"]]
    assert used[-4:-2] == ["pip install meshproxy", "npm install --global @openai/codex"]


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


def test_the_key_stays_out_of_the_agents_reach(
    room_proxy: RoomProxy, agents: Agents, meshproxy_home: Home, tmp_path: Path
) -> None:
    steps: list[dict[str, Any]] = yaml.safe_load(blocks()[0])["jobs"]["codex"]["steps"][-2:]
    secrets = {"${{ secrets.MESHAGENT_API_KEY }}": room_proxy.key.encode(), "https://mesh.example.com": room_proxy.url}
    exported = tmp_path / "github-env"
    exported.touch()
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "init", "--quiet", checkout], check=True)
    log = ""
    for step in steps:  # as a runner does: each step in a shell of its own, with what those before it exported
        given = {name: secrets[value] for name, value in step["env"].items()}
        before = dict(line.split("=", 1) for line in exported.read_text().splitlines())
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step["run"]],
            env=meshproxy_home.environ(
                agents.path(meshproxy_home, "codex") | before | given | {"GITHUB_ENV": str(exported)}
            ),
            cwd=checkout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        log += "".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith("::add-mask::"))
    assert log.strip().endswith("The provider heard: Review the last commit; be brief.")
    assert [step["env"].get("MESHAGENT_API_KEY") is not None for step in steps] == [True, False]
    assert room_proxy.key.encode() not in exported.read_text() + log
    [token] = re.findall("MESHAGENT_ROOM_TOKEN=(.*)", exported.read_text())
    claims = decode_unverified(token)
    assert (claims.room, claims.identity, claims.session) == ("ci", "codex-ci", "codex-ci")
    assert token not in log
