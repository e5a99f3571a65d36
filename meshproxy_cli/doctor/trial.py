"""Runs the real agent once, as its user would, with a prompt of one word."""

import re
import subprocess
import time
from collections.abc import Callable

from meshproxy_cli.agents.base import TOKEN_VARIABLE, Agent
from meshproxy_cli.agents.environment import agent_environment
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor.check import Check, Outcome, bad, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext

_PROMPT = "Say: ok"
_LIMIT_S = 80.0
_MOST_SHOWN = 300
_WORDS: dict[str, Callable[[Receipt], list[str]]] = {
    "codex": lambda receipt: ["exec", "--skip-git-repo-check", "--profile", receipt.profile, _PROMPT],
    "claude": lambda _: ["-p", _PROMPT],
    "opencode": lambda receipt: ["run", "--model", f"{receipt.profile}/{receipt.model}", _PROMPT],
    "pi": lambda receipt: ["-p", "--provider", receipt.profile, _PROMPT],
}
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


def trial_check(name: str) -> Check:
    """Return the check that runs the agent of that name. Raises `UsageError` for a name that nobody knows."""
    agent = find_agent(name)
    return Check(f"run-{name}", f"{agent.title}, run once", lambda scene: _run(scene, name), ("accepted",), live=True)


def _run(scene: DoctorContext, name: str) -> Outcome:
    agent = find_agent(name)
    receipt = next((one for one in reversed(scene.receipts) if one.agent == name), None)
    if receipt is None:
        model = " --model gpt-5.4" if agent.needs_model else ""
        return bad(
            f"{agent.title} is not configured",
            f"meshproxy configure {name} --room {quoted(scene.room or 'my-room')}{model} --yes",
        )
    program = scene.machine.find(agent.program)
    words = _WORDS.get(name)
    if program is None or words is None:
        return bad(f"{agent.title} can't be run here", f"meshproxy launch {name} --room {quoted(receipt.room)}")
    start = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 (the agent that the person asked for)
            [program, *words(receipt)],
            env=_with_token(scene, agent),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return bad(f"{agent.title} gave no answer within {_LIMIT_S:.0f} s", f"meshproxy launch {name}")
    if done.returncode:
        said = _plain(done.stderr or done.stdout).strip()[-_MOST_SHOWN:]
        without = f"meshproxy launch {name} --room {quoted(receipt.room)}"
        problem = f"{agent.title} ended with {done.returncode}: {' '.join(said.split())}"
        return bad(problem, without, advice="without its own settings it is started by:")
    answer = " ".join(_plain(done.stdout).split())[:60]
    return good(f"answered {answer!r} in {time.monotonic() - start:.1f} s")


def _with_token(scene: DoctorContext, agent: Agent) -> dict[str, str]:
    """Return this shell's variables; an agent that can't run a command for its token gets one, as `launch` gives it."""
    # What it was configured with may need the key that is in this shell; nothing else of ours.
    environ = agent_environment(scene.environ, scene.paths.server_file, keep=("MESHAGENT_API_KEY", TOKEN_VARIABLE))
    if not agent.runs_commands and not environ.get(TOKEN_VARIABLE):
        environ[TOKEN_VARIABLE] = scene.token
    return environ


def _plain(said: bytes) -> str:
    return _COLOURS.sub("", said.decode(errors="replace"))
