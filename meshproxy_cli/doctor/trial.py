"""Runs the real agent once, as its user would, with a prompt of one word."""

import subprocess
import time
from collections.abc import Callable

from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.doctor.check import Check, Outcome, bad, good, quoted
from meshproxy_cli.doctor.scene import Scene

_PROMPT = "Say: ok"
_LIMIT_S = 80.0
_MOST_SHOWN = 300
_WORDS: dict[str, Callable[[str], list[str]]] = {
    "codex": lambda profile: ["exec", "--skip-git-repo-check", "--profile", profile, _PROMPT],
    "claude": lambda _: ["-p", _PROMPT],
    "opencode": lambda _: ["run", _PROMPT],
    "pi": lambda profile: ["-p", "--provider", profile, _PROMPT],
}


def trial_check(name: str) -> Check:
    """Return the check that runs the agent of that name. Raises `UsageError` for a name that nobody knows."""
    agent = find_agent(name)
    return Check(f"run-{name}", f"{agent.title}, run once", lambda scene: _run(scene, name), ("accepted",), live=True)


def _run(scene: Scene, name: str) -> Outcome:
    agent = find_agent(name)
    receipt = next((one for one in reversed(scene.receipts) if one.agent == name), None)
    if receipt is None:
        return bad(
            f"{agent.title} is not configured",
            f"meshproxy configure {name} --room {quoted(scene.room or 'my-room')} --yes",
        )
    program = scene.machine.find(agent.program)
    words = _WORDS.get(name)
    if program is None or words is None:
        return bad(f"{agent.title} can't be run here", f"meshproxy launch {name} --room {quoted(receipt.room)}")
    start = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 (the agent that the person asked for)
            [program, *words(receipt.profile)],
            env=dict(scene.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return bad(f"{agent.title} gave no answer within {_LIMIT_S:.0f} s", f"meshproxy launch {name}")
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-_MOST_SHOWN:]
        without = f"meshproxy launch {name} --room {quoted(receipt.room)}"
        problem = f"{agent.title} ended with {done.returncode}: {' '.join(said.split())}"
        return bad(problem, without, advice="without its own settings it is started by:")
    answer = " ".join(done.stdout.decode(errors="replace").split())[:60]
    return good(f"answered {answer!r} in {time.monotonic() - start:.1f} s")
