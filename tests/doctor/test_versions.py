"""This program's version beside the server's."""

import sys

import pytest

from doctor.broken_installs import Patient, stand_in
from meshproxy_cli.doctor.versions import release, upgrade


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("0.1.0", (0, 1)), ("0.12.3rc1", (0, 12)), ("1.4.2", (1,)), ("2.0.0+local", (2,)), ("unknown", ())],
)
def test_which_numbers_count(version: str, numbers: tuple[int, ...]) -> None:
    assert release(version) == numbers


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("/home/ada/.local/share/pipx/venvs/meshproxy", "pipx upgrade meshproxy"),
        ("/home/ada/.local/share/uv/tools/meshproxy", "uv tool upgrade meshproxy"),
        ("/home/ada/project/.venv", f"{sys.executable} -P -m pip install --upgrade meshproxy"),
    ],
)
def test_upgrade_by_what_installed_it(prefix: str, command: str) -> None:
    assert upgrade(prefix) == command


@pytest.mark.parametrize(("version", "told"), [("99.0.0", "this one is old"), ("0.0.1", "the server is old")])
def test_far_apart_is_a_warning(patient: Patient, version: str, told: str) -> None:
    with stand_in(body=f'{{"status": "ok", "reasons": [], "version": "{version}"}}') as url:
        patient.use_server(url)
        found = patient.doctor()
    assert found.status("versions") == "warning"
    assert told in found.check("versions")["found"]


def test_a_real_server_tells_its_version(patient: Patient) -> None:
    found = patient.doctor().check("versions")
    assert (found["status"], found["found"].count(patient.cli("--version").stdout.split()[-1])) == ("ok", 2)
