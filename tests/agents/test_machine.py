"""Asking programs for their version."""

from pathlib import Path

import pytest

from meshproxy_cli.agents import machine as machines
from meshproxy_cli.agents.machine import Machine


def program(directory: Path, script: str) -> Machine:
    (directory / "tool").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "tool").chmod(0o755)
    return Machine({"PATH": f"{directory}:/usr/bin:/bin"}, directory, directory)


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo tool 1.22.333-beta", (1, 22, 333)),
        ("echo none", None),
        ("echo 1.2.3 >&2", None),
        ("exit 3", None),
        ('echo "$WHERE"', (4, 5, 6)),
    ],
)
def test_version(tmp_path: Path, script: str, version: tuple[int, int, int] | None) -> None:
    assert program(tmp_path, script).version("tool", WHERE="4.5.6") == version


def test_a_program_that_hangs_or_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "_TIMEOUT_S", 0.05)
    assert program(tmp_path, "exec sleep 5").version("tool") is None
    assert program(tmp_path, "").version("other") is None


def test_directories(tmp_path: Path) -> None:
    plain = Machine({}, tmp_path, tmp_path)
    assert plain.config_home() == tmp_path / ".config"
    assert Machine({"X": "/a/b"}, tmp_path, tmp_path).directory("X", ".c") == Path("/a/b")
    assert Machine({"X": ""}, tmp_path, tmp_path).directory("X", ".c") == tmp_path / ".c"
