"""SIGKILL at random points of `configure`: a file is as before or as after, never between, and can be undone."""

import os
import random
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from agents.workbench import Workbench, write_fast
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.configedit import apply as applying

KILLS = 200
CONFIG = b'# mine\nmodel = "x"  # big\r\n\n[mcp_servers.a]\ncommand = "b"'
SETTINGS = b'{"env": {"A": "1"}, "theme": "dark"}'

pytestmark = [pytest.mark.thorough, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


def in_child(work: Callable[[], None], *, kill_at: int | None) -> int:
    """Run `work` in a child that kills itself at the given line of Python; return how many lines ran (0 if killed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        count = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal count
            count += event == "line"
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            work()
            sys.settrace(None)
            os.write(writing, str(count).encode())
        finally:
            os._exit(0)
    os.close(writing)
    said = os.read(reading, 20)
    os.close(reading)
    os.waitpid(child, 0)
    return int(said or 0)


def fresh(root: Path) -> Workbench:
    bench = Workbench(root)
    (bench.home / ".codex").mkdir()
    (bench.home / ".claude").mkdir()
    (bench.home / ".codex" / "config.toml").write_bytes(CONFIG)
    (bench.home / ".claude" / "settings.json").write_bytes(SETTINGS)
    return bench


@pytest.mark.timeout(300)  # a busy disk: every write waits for it
def test_every_file_is_whole_whenever_the_process_dies(tmp_path: Path) -> None:
    rng = random.Random(5)
    agents = (Codex(), Claude())
    outcomes: dict[bool, int] = {True: 0, False: 0}
    lines = {}
    for agent in agents:
        fresh(tmp_path / "warm" / agent.name).configure(agent)  # what is imported only once is not counted
        bench = fresh(tmp_path / agent.name)
        plan = bench.plan(agent)
        lines[agent.name] = in_child(lambda b=bench, p=plan: applying.apply(p, b.context), kill_at=None)
        assert lines[agent.name] > 100
    killed = number = 0
    while killed < KILLS:
        number += 1
        assert number < KILLS * 1.2, "most runs were over before they were killed"
        agent = agents[number % 2]
        bench = fresh(tmp_path / str(number))
        plan = bench.plan(agent)
        # The files are written at the end: every other kill falls there.
        first = 1 if rng.random() < 0.5 else lines[agent.name] * 9 // 10
        point = rng.randrange(first, lines[agent.name])
        killed += not in_child(lambda b=bench, p=plan: applying.apply(p, b.context), kill_at=point)
        written = 0
        for edit in plan.edits:
            now = edit.path.read_bytes() if edit.path.exists() else None
            assert now in {edit.before, edit.after}, (point, edit.path)
            written += now == edit.after
        outcomes[written > 0] += 1
        again_and_back(bench, agent, plan.edits)
    assert min(outcomes.values()) >= 3, f"the kills hit one side only: {outcomes}"


def again_and_back(bench: Workbench, agent: Codex | Claude, edits: tuple[Any, ...]) -> None:
    """Go on after the crash as a person would: configure again, and then undo."""
    bench.context = replace(bench.context, write=write_fast)
    bench.configure(agent)
    assert all(edit.path.read_bytes() == edit.after for edit in edits)
    bench.undo(agent)
    for edit in edits:
        assert (edit.path.read_bytes() if edit.path.exists() else None) == edit.before
