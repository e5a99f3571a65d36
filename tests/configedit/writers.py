"""Run as a program: processes that write settings and secrets at once, or are killed while they do.

It imports once and forks, so that hundreds of writers take seconds. The last line on standard output is JSON.
"""

import json
import os
import random
import signal
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshproxy_cli.configedit.formats.document import Change, lookup
from meshproxy_cli.configedit.toml_edit import edit_toml
from meshproxy_cli.settings.edit import set_value
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import open_secrets

if TYPE_CHECKING:
    from meshproxy_cli.configedit.formats.toml_document import TomlDocument

FILE = {"MESHPROXY_KEYRING": "file"}
PADDING = "x" * 1000
START = '# a comment of a person\n[servers.local]\nroom = "0"\nproject_id = "' + PADDING + '"\n'


@dataclass
class Seen:
    """What the files held after each kill."""

    writes: int = 0
    kills: int = 0
    half_way: int = 0
    leftovers: int = 0


@dataclass(frozen=True)
class Held:
    """The numbers that the two files hold."""

    settings: int
    secret: int


def kill_writers(paths: Paths, writes: int, seed: int) -> Seen:
    """Kill writers at random moments until they have begun `writes` writes; raise where a file is broken or old."""
    dice = random.Random(seed)
    seen = Seen()
    paths.config_dir.mkdir(parents=True)
    paths.settings_file.write_text(START)
    held = Held(0, 0)
    while seen.writes < writes:
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            _write_until_killed(paths, max(held.settings, held.secret) + 1, tell)
        os.close(tell)
        time.sleep(dice.uniform(0, 0.03))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        steps = _read_all(told)
        seen.writes += steps.count("s") + steps.count("k")
        seen.kills += 1
        seen.half_way += bool(steps) and steps[-1] in "sk"
        seen.leftovers += any(paths.config_dir.glob(".*.tmp")) or any(paths.data_dir.glob(".*.tmp"))
        held = _check(paths, held, steps)
    return seen


def _write_until_killed(paths: Paths, number: int, tell: int) -> None:
    secrets = open_secrets(paths, FILE)
    for value in range(number, number + 1000):
        os.write(tell, b"s")
        set_value(paths, "servers.local.room", str(value))
        os.write(tell, b"S")
        os.write(tell, b"k")
        secrets.set("provider/openai", f"{value} {PADDING}")
        os.write(tell, b"K")


def _read_all(told: int) -> str:
    with os.fdopen(told, "rb") as pipe:
        return pipe.read().decode()


def _check(paths: Paths, before: "Held", steps: str) -> "Held":
    """Each file must hold the last number that was confirmed or the one that was being written, whole."""
    start = max(before.settings, before.secret) + 1
    held = _read(paths)
    assert held.settings in _allowed(before.settings, start, steps.count("s"), steps.count("S")), (held, before, steps)
    assert held.secret in _allowed(before.secret, start, steps.count("k"), steps.count("K")), (held, before, steps)
    return held


def _allowed(before: int, start: int, begun: int, confirmed: int) -> set[int]:
    """Return what a file may hold after writes of `start`, `start + 1`, …: as many begun, as many confirmed."""
    return {start + done - 1 if done else before for done in (begun, confirmed)}


def _read(paths: Paths) -> "Held":
    text = paths.settings_file.read_text()
    table = tomllib.loads(text)["servers"]["local"]
    assert text.startswith("# a comment of a person\n")
    assert table["project_id"] == PADDING
    number, _, padding = (open_secrets(paths, FILE).get("provider/openai") or f"0 {PADDING}").partition(" ")
    assert padding == PADDING
    return Held(int(table["room"]), int(number))


def write_at_once(paths: Paths, processes: int, writes: int) -> dict[str, int]:
    """Let processes count up one setting together, and each keep secrets of its own; return what arrived."""
    paths.config_dir.mkdir(parents=True)
    paths.settings_file.write_text(START)
    children = []
    for writer in range(processes):
        pid = os.fork()
        if pid == 0:
            _count(paths, writer, writes)
        children.append(pid)
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in children)
    table = tomllib.loads(paths.settings_file.read_text())["servers"]["local"]
    names = open_secrets(paths, FILE).names()
    return {"failed": failed, "settings": int(table["room"]), "secrets": len(names)}


def _count(paths: Paths, writer: int, writes: int) -> None:
    def count_up(document: "TomlDocument") -> None:
        path = ("servers", "local", "room")
        document.put([Change(path, str(int(lookup(document.plain(), path)) + 1))])

    secrets = open_secrets(paths, FILE)
    try:
        for number in range(writes):
            edit_toml(paths.settings_file, count_up, tomllib.loads)
            secrets.set(f"provider/{writer}-{number}", "s3cret")
    except BaseException as problem:  # noqa: BLE001 (a forked child must not run the parent's code)
        sys.stderr.write(f"{type(problem).__name__}: {problem}\n")
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    import tomlkit  # noqa: F401 (before the forks)

    home, action, *numbers = sys.argv[1:]
    here = Paths.from_environment({"MESHPROXY_HOME": str(Path(home))})
    if action == "kill":
        result = vars(kill_writers(here, int(numbers[0]), int(numbers[1])))
    else:
        result = write_at_once(here, int(numbers[0]), int(numbers[1]))
    sys.stdout.write(json.dumps(result) + "\n")
