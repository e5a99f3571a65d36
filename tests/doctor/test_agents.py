"""What can be wrong with agents: the real Codex and Claude Code, configured by the command line and then broken."""

import os
import shutil
import sys

from doctor.broken_installs import Patient, may_mount
from fixtures.commands import MESHPROXY


def test_agent_is_gone(patient: Patient) -> None:
    patient.configure("codex")
    (patient.home.directory / "bin" / "codex").unlink()
    patient.environ["PATH"] = f"{patient.home.directory}/bin:{MESHPROXY.parent}:/usr/bin:/bin"
    ill = patient.doctor()
    assert (ill.code, ill.first) == (1, "installed/codex")
    assert ill.check("installed/codex")["remedy"] == "npm install -g @openai/codex"


def test_legacy_profile_stops_codex(patient: Patient) -> None:
    patient.configure("codex")
    text = patient.codex_config.read_text()
    patient.codex_config.write_text(f'profile = "work"\n{text}\n[profiles.work]\nmodel = "gpt-5.4"\n')
    patient.is_fixed("agent-legacy/codex")


def test_our_settings_are_gone(patient: Patient) -> None:
    patient.configure("codex")
    patient.codex_config.unlink()
    patient.is_fixed("agent-settings/codex")


def test_fix_brings_back_our_settings(patient: Patient) -> None:
    patient.configure("codex")
    patient.codex_config.unlink()
    assert patient.doctor("--no-live", "--fix", "--yes").code == 0
    assert patient.codex_config.exists()


def test_our_settings_were_changed(patient: Patient) -> None:
    patient.configure("codex")
    text = patient.codex_config.read_text()
    patient.codex_config.write_text(text.replace("/rooms/", "/room/"))
    patient.is_fixed("agent-settings/codex")


def test_codex_settings_are_no_toml(patient: Patient) -> None:
    patient.configure("codex")
    text = patient.codex_config.read_text()
    patient.codex_config.write_text(f"{text}[[[\n")
    line = len(text.splitlines()) + 1
    patient.program("editor", f'[ "$1" = +{line} ] && sed -i {line}d "$2"')
    patient.environ["EDITOR"] = "editor"
    ill = patient.is_fixed("agent-settings/codex")
    assert f"line {line}, column 3" in ill.check("agent-settings/codex")["found"]
    assert patient.codex_config.read_text() == text
    assert not list(patient.codex_config.parent.glob("*.broken"))


def test_token_command_is_gone(patient: Patient) -> None:
    link = patient.home.root / "tools" / "meshproxy"
    link.parent.mkdir()
    link.symlink_to(MESHPROXY)
    patient.environ = {"MESHPROXY_HOME": str(patient.home.state)}
    patient.configure("codex")
    text = patient.codex_config.read_text()
    assert text
    patient.environ["PATH"] = f"{link.parent}{os.pathsep}{patient.environ['PATH']}"
    patient.cli("configure", "codex", "--room", patient.room, "--yes", environ=patient.environ)
    assert str(link) in patient.codex_config.read_text()
    link.unlink()
    patient.is_fixed("agent-helper/codex")


def test_server_moved_to_another_port(patient: Patient) -> None:
    patient.configure("codex")
    patient.runtime(url=patient.proxy.url.replace("127.0.0.1", "localhost"))
    patient.is_fixed("agent-server/codex")


def in_project(patient: Patient, name: str, text: str) -> None:
    """Go to a project that has a file for the agent."""
    file = patient.home.root / "project" / name
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    patient.directory = patient.home.root / "project"


def test_codex_leaves_a_projects_provider_out(patient: Patient) -> None:
    """Trusted or not: doctor must not blame it, and the real Codex shows that it is right."""
    patient.configure("codex", "--model", "gpt-5.4")
    in_project(patient, ".codex/config.toml", 'model_provider = "openai"\n[model_providers.meshproxy]\nname = "x"\n')
    with patient.codex_config.open("a") as file:
        file.write(f'\n[projects."{patient.directory}"]\ntrust_level = "trusted"\n')
    found = patient.doctor("--no-live", "--agent", "codex", "--yes")
    assert (found.code, found.status("run-codex")) == (0, "ok"), found.broken


def test_claude_settings_of_a_project_win(patient: Patient) -> None:
    patient.configure("claude")
    (patient.home.directory / ".claude.json").write_text('{"hasCompletedOnboarding": true}')
    in_project(patient, ".claude/settings.json", '{"env": {"ANTHROPIC_BASE_URL": "https://api.anthropic.com"}}')
    ill = patient.is_fixed("agent-overrides/claude")
    assert "--project" in ill.check("agent-overrides/claude")["remedy"]


REMEDY_OF_THE_FIRST = """
import json
found = json.load(open("ill.json"))
print(found["first"], file=open("first", "a"))
print(next(one["remedy"] for one in found["checks"] if one["id"] == found["first"]))
"""


def test_managed_settings_win(patient: Patient) -> None:
    """In a namespace whose /etc is the test's own; where none can be had, `tests/agents` tries the same elsewhere."""
    if not may_mount():
        return
    patient.configure("codex")
    patient.configure("claude")
    (patient.home.directory / ".claude.json").write_text('{"hasCompletedOnboarding": true}')
    patient.program("sudoedit", 'rm "$1"')  # its admin takes out all that it says
    (patient.home.directory / "remedy.py").write_text(REMEDY_OF_THE_FIRST)
    done = patient.in_namespace(f"""
        mkdir etc
        cp -a /etc/. etc 2>/dev/null || true
        mkdir -p etc/codex etc/claude-code
        echo 'model_provider = "openai"' > etc/codex/managed_config.toml
        echo '{{"forceLoginMethod": "console"}}' > etc/claude-code/managed-settings.json
        mount --bind etc /etc
        for turn in codex claude; do
            meshproxy doctor --no-live --json > ill.json || true
            bash -c "$({sys.executable} remedy.py)"
        done
        meshproxy doctor --no-live --json > well.json
    """)
    assert done.returncode == 0, done.stderr
    found = (patient.home.directory / "first").read_text().split()
    assert sorted(found) == ["agent-overrides/claude", "agent-overrides/codex"]


def test_cloud_variable_takes_claude_elsewhere(patient: Patient) -> None:
    patient.configure("claude")
    (patient.home.directory / ".claude.json").write_text('{"hasCompletedOnboarding": true}')
    patient.environ["CLAUDE_CODE_USE_BEDROCK"] = "1"
    patient.is_fixed("agent-overrides/claude")


def test_token_variable_is_not_set(patient: Patient) -> None:
    patient.configure("codex", "--credentials", "env")
    patient.is_fixed("agent-overrides/codex")


def test_codex_is_too_old(patient: Patient) -> None:
    patient.configure("codex")
    patient.program("codex", "echo codex-cli 0.120.0")
    patient.program("npm", f"rm {patient.home.root}/programs/codex")  # what is installed again is the right one
    ill = patient.is_fixed("agent-legacy/codex")
    assert ill.check("agent-legacy/codex")["remedy"] == "npm install -g @openai/codex"


def test_token_command_is_slow(patient: Patient) -> None:
    patient.configure("codex")
    (patient.home.root / "sitecustomize.py").write_text("import time\ntime.sleep(3.1)\n")
    patient.environ["PYTHONPATH"] = str(patient.home.root)
    found = patient.doctor()
    assert (found.code, found.status("agent-helper/codex")) == (0, "warning")
    assert "agents wait for it" in found.check("agent-helper/codex")["found"]


def test_token_command_fails(patient: Patient) -> None:
    patient.configure("codex")
    (patient.home.root / "sitecustomize.py").write_text("import sys\nsys.stderr.write('no such module')\nsys.exit(3)\n")
    patient.environ["PYTHONPATH"] = str(patient.home.root)
    ill = patient.doctor()
    assert (ill.code, ill.first) == (1, "agent-helper/codex")


def test_token_command_that_was_written_does_not_start(patient: Patient) -> None:
    script = patient.home.root / "tools" / "meshproxy"
    script.parent.mkdir()
    script.symlink_to(MESHPROXY)
    patient.environ |= patient.agents.path(patient.home, "codex")
    patient.environ["PATH"] = f"{script.parent}{os.pathsep}{patient.environ['PATH']}"
    patient.cli("configure", "codex", "--room", patient.room, "--yes", environ=patient.environ)
    assert str(script) in patient.codex_config.read_text()
    patient.start_quickly()
    script.unlink()
    script.write_text("#!/python/of/an/environment/that/is/gone\n")
    script.chmod(0o755)
    ill = patient.is_fixed("agent-helper/codex")
    assert f"{script}" in ill.check("agent-helper/codex")["found"]


def test_project_that_was_removed_is_nobodys_fault(patient: Patient) -> None:
    in_project(patient, "README.md", "a project")
    project = patient.directory
    assert project is not None
    patient.environ |= patient.agents.path(patient.home, "claude")
    patient.cli(
        "configure", "claude", "--room", patient.room, "--project", "--yes", environ=patient.environ, cwd=project
    )
    patient.directory = None
    (project / ".claude" / "settings.local.json").unlink()
    ill = patient.doctor("--no-live", "--fix", "--yes")
    assert (ill.code, ill.status("agent-settings/claude")) == (0, "ok"), ill.broken
    assert str(project) in ill.check("agent-settings/claude")["title"]
    assert (project / ".claude" / "settings.local.json").exists()
    assert not (patient.home.directory / ".claude" / "settings.local.json").exists()

    shutil.rmtree(project)
    found = patient.doctor()
    assert (found.code, found.status("agent-settings/claude")) == (0, "ok"), found.broken


def test_the_default_stays_the_default(patient: Patient) -> None:
    patient.configure("codex", "--default")
    patient.codex_config.unlink()
    patient.is_fixed("agent-settings/codex")
    assert patient.codex_config.read_text().startswith('model_provider = "meshproxy"')


def test_cloud_variable_in_claudes_own_settings(patient: Patient) -> None:
    patient.configure("claude")
    (patient.home.directory / ".claude.json").write_text('{"hasCompletedOnboarding": true}')
    settings = patient.home.directory / ".claude" / "settings.json"
    settings.write_text(settings.read_text().replace('"env": {', '"env": {\n    "CLAUDE_CODE_USE_VERTEX": "1",'))
    patient.program("editor", 'sed -i /VERTEX/d "$1"')
    patient.environ["EDITOR"] = "editor"
    patient.is_fixed("agent-overrides/claude")
