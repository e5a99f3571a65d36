"""What can be wrong with the machine: settings file, directories, the choice of the server."""

import json
import shutil
import sys
from typing import cast

import pytest

from doctor.broken_installs import Patient, may_mount
from meshproxy_cli.doctor import machine
from meshproxy_cli.doctor.check import Status
from meshproxy_cli.doctor.scene import Desk, DoctorContext
from meshproxy_cli.settings.paths import Paths

MEND = '#!/bin/sh\nsed -i "${1#+}d" "$2"\n'


def with_editor(patient: Patient) -> None:
    """Give the patient an editor that deletes the line that it is called with."""
    editor = patient.home.root / "editor"
    editor.write_text(MEND, encoding="utf-8")
    editor.chmod(0o755)
    patient.environ["EDITOR"] = str(editor)


def test_all_is_well(patient: Patient) -> None:
    well = patient.doctor("--live")
    assert (well.code, well.broken) == (0, {})
    assert "tokens counted" in well.check("live-openai")["found"]
    assert "tokens counted" in well.check("live-anthropic")["found"]


def test_settings_are_no_toml(patient: Patient) -> None:
    with_editor(patient)
    with patient.settings_file.open("a") as file:
        file.write("this is no TOML\n")
    assert ":3:" in patient.is_fixed("settings").check("settings")["found"]


def test_current_server_is_unknown(patient: Patient) -> None:
    text = patient.settings_file.read_text()
    patient.settings_file.write_text(f'current = "gone"\n{text}')
    patient.is_fixed("settings")


def test_misspelt_setting_is_a_warning(patient: Patient) -> None:
    with patient.settings_file.open("a") as file:
        file.write('sesion = "x"\n')
    found = patient.doctor("--offline")
    assert (found.code, found.status("settings")) == (0, "warning")
    assert "did you mean session" in found.check("settings")["found"]


def test_file_where_a_directory_should_be(patient: Patient) -> None:
    config = patient.settings_file.parent
    patient.settings_file.unlink()
    config.rmdir()
    config.write_text("not a directory")
    patient.is_fixed("directories", "--no-live", "--room", patient.room)


def test_no_file_can_grow(patient: Patient) -> None:
    patient.prelude = "ulimit -S -f 100"
    patient.is_fixed("directories")


def test_server_variable_is_no_url(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_URL"] = "ftp://nowhere"
    patient.is_fixed("server")


def test_server_variable_names_another_server(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_URL"] = "http://127.0.0.1:9"
    patient.is_fixed("tcp")


def test_disk_is_full(patient: Patient) -> None:
    """On a disk of its own where this user may mount one, else the largest file that a shell allows."""
    if not may_mount():
        patient.prelude = "ulimit -S -f 10"
        patient.is_fixed("directories")
        return
    done = patient.in_namespace(f"""
        mkdir disk
        mount -t tmpfs -o size=64m none disk
        cp -a "$MESHPROXY_HOME/." disk
        export MESHPROXY_HOME="$HOME/disk"
        mkdir -p disk/data
        dd if=/dev/zero of=disk/data/large bs=1M status=none 2>/dev/null || true
        meshproxy doctor --offline --json > ill.json || true
        remedy=$({sys.executable} -c 'import json; print(json.load(open("ill.json"))["checks"][1]["remedy"])')
        bash -c "$remedy" | grep -v "disk$\\|data$" | tail -1 | cut -f2 | xargs rm
        meshproxy doctor --offline --json > well.json
    """)
    ill, well = (json.loads((patient.home.directory / name).read_text()) for name in ("ill.json", "well.json"))
    assert (ill["first"], done.returncode, well["ok"]) == ("directories", 0, True), done.stderr
    assert "is full" in ill["checks"][1]["found"]


def test_little_room_is_left(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(patient.home.root)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1024))
    scene = DoctorContext(Paths.from_environment({"MESHPROXY_HOME": str(patient.home.state)}), {}, cast("Desk", None))
    found = machine.disk(scene)
    assert (found.status, found.found[:21]) == (Status.FAILED, "only 1 KiB are free o")
    assert found.remedy.startswith("du -axk /")


def test_receipt_is_damaged(patient: Patient) -> None:
    patient.configure("codex")
    (patient.home.state / "data" / "receipts" / "codex-other-0.json").write_text("{")
    ill = patient.is_fixed("receipts")
    assert "codex-other-0.json can't be read" in ill.check("receipts")["found"]
    assert ill.status("agent-settings/codex") == "ok"
