"""`meshproxy secret repair`."""

import os
from pathlib import Path

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.settings.paths import Paths


@pytest.fixture
def file(run: InProcess) -> Path:
    run("api-key", "create", "laptop", "--activate", "--silent")
    return Paths.from_environment(os.environ).secrets_file


def test_a_damaged_file_works_again(run: InProcess, file: Path) -> None:
    file.write_text("{" + file.read_text())
    run("secret", "list", code=3)
    assert "api-key/local" in run("secret", "repair").stderr
    assert run("token", "get", "--room", "r").stdout.startswith("eyJ")


def test_a_good_file_is_left_alone(run: InProcess, file: Path) -> None:
    before = file.read_bytes()
    assert "nothing is wrong" in run("secret", "repair").stderr
    assert file.read_bytes() == before
