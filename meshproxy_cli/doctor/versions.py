"""Compares this program's version with the server's."""

import os
import re
import shlex
import sys

from meshproxy_cli import __version__
from meshproxy_cli.doctor.check import Outcome, doubtful, good
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.server import content_of, ready
from meshproxy_cli.settings.schema import HOSTED


def versions(scene: DoctorContext) -> Outcome:
    """See whether both releases are near enough to understand each other."""
    if scene.server.name == HOSTED:
        return good(f"{__version__} here; MeshAgent's service tells none")
    theirs = str(content_of(ready(scene)).get("version") or "")
    if not theirs:
        return good(f"{__version__} here; the server tells none")
    mine, other = release(__version__), release(theirs)
    found = f"{__version__} here, {theirs} on the server"
    if mine == other or not (mine and other):
        return good(found)
    if mine < other:
        return doubtful(f"{found}: this one is old", upgrade(sys.prefix))
    return doubtful(f"{found}: the server is old", advice="its admin upgrades it: docs/hosting.md")


def release(version: str) -> tuple[int, ...]:
    """Return the numbers that decide whether two releases fit: the first, and before 1.0 the second too."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None:
        return ()
    return (int(numbers[1]),) if int(numbers[1]) else (0, int(numbers[2]))


def upgrade(prefix: str) -> str:
    """Return the command that upgrades the installation in that directory."""
    if f"{os.sep}pipx{os.sep}" in prefix:
        return "pipx upgrade meshproxy"
    if f"{os.sep}uv{os.sep}tools{os.sep}" in prefix:
        return "uv tool upgrade meshproxy"
    return f"{shlex.quote(sys.executable)} -P -m pip install --upgrade meshproxy"
