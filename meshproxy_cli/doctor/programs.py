"""The version of an agent's program, asked for in the cheapest way: some take seconds to say it."""

import json
from pathlib import Path

from meshproxy_cli.agents.machine import Machine, Version

_MOST_PARENTS = 4
_PACKAGES = "node_modules"
_FIRST_LINE = 200


def version_of(machine: Machine, program: str) -> Version | None:
    """Return a program's version: an npm package's from its `package.json`, else as the program itself says.

    None where it is not installed, does not start, or says none.
    """
    found = machine.find(program)
    if found is None:
        return None
    path = Path(found).resolve()
    if _PACKAGES in path.parts and (version := _of_package(path)) is not None:
        return None if _runs_on_node(path) and machine.find("node") is None else version
    return machine.version(program)


def _runs_on_node(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            first = file.read(_FIRST_LINE).partition(b"\n")[0]
    except OSError:
        return False
    return first.startswith(b"#!") and b"node" in first


def _of_package(path: Path) -> Version | None:
    """Return the version of the package that a program lies in."""
    for directory in list(path.parents)[:_MOST_PARENTS]:
        try:
            content = json.loads((directory / "package.json").read_bytes())
            numbers = str(content["version"]).partition("-")[0].split(".")
            major, minor, patch = (int(number) for number in numbers)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return major, minor, patch
    return None
