"""An agent's version, without running what takes seconds."""

import json
import os
from pathlib import Path

import pytest

from fixtures.agents import Agents
from fixtures.commands import Home
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.doctor.programs import version_of

NEVER = '#!/usr/bin/env node\nthrow new Error("this is not to be run")\n'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with an npm package's program, a `node` that fails, and a program that says its version."""
    package = tmp_path / "node_modules" / "@team" / "agent"
    for path, text in (
        (package / "bin" / "agent.js", NEVER),
        (tmp_path / "bin" / "node", "#!/bin/sh\nexit 1\n"),
        (tmp_path / "bin" / "native", "#!/bin/sh\necho native 2.3.4\n"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (package / "package.json").write_text(json.dumps({"version": "1.22.333-beta.1"}))
    (tmp_path / "bin" / "agent").symlink_to(package / "bin" / "agent.js")
    return Machine({"PATH": f"{tmp_path}/bin:/nonexistent"}, tmp_path, tmp_path)


def test_package_says_it(machine: Machine) -> None:
    assert version_of(machine, "agent") == (1, 22, 333)


def test_program_says_it(machine: Machine) -> None:
    assert version_of(machine, "native") == (2, 3, 4)


def test_node_is_gone(machine: Machine) -> None:
    (machine.home / "bin" / "node").unlink()
    assert version_of(machine, "agent") is None


@pytest.mark.parametrize("content", ["no JSON", "[]", '{"version": "one"}', "{}"])
def test_package_that_says_none_is_run(machine: Machine, content: str) -> None:
    (machine.home / "node_modules" / "@team" / "agent" / "package.json").write_text(content)
    assert version_of(machine, "agent") is None  # as its `node` fails


def test_not_installed(machine: Machine) -> None:
    assert version_of(machine, "nobody") is None


@pytest.mark.parametrize("name", ["codex", "codex-old", "claude"])
def test_real_agents_say_the_same(agents: Agents, tmp_path: Path, name: str) -> None:
    home = Home(tmp_path)
    environ = dict(os.environ) | agents.path(home, name)
    machine = Machine(environ, tmp_path, tmp_path)
    program = name.removesuffix("-old")
    assert version_of(machine, program) == machine.version(program) is not None
