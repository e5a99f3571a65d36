"""`meshproxy launch`: one run of an agent through a room, with nothing written."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from meshproxy_cli.agents.base import Credentials, Launch
from meshproxy_cli.agents.registry import AGENTS, find_agent
from meshproxy_cli.cli import output
from meshproxy_cli.cli.fresh_token import fresh_token
from meshproxy_cli.cli.targets import Choice, make_target
from meshproxy_cli.errors import NotFoundError

# A token in a variable can't be renewed while the agent runs: it has to last for a working day.
_LIFETIME = "12h"
_NAMES = ", ".join(agent.name for agent in AGENTS)


def launch(
    context: typer.Context,
    agent: Annotated[str, typer.Argument(help=f"One of: {_NAMES}.", show_default=False)],
    *,
    room: Annotated[str | None, typer.Option("--room", "-r", help="The room to use.")] = None,
    server: Annotated[str | None, typer.Option(help="A server's name or URL (default: the current one).")] = None,
    session: Annotated[
        str | None, typer.Option(help="The name under which usage is grouped (default: agent and host name).")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model to ask for (default: the agent's own).")] = None,
) -> None:
    """Run an agent once through a room; no file is written. What stands after `--` goes to the agent.

    The agent takes the place of this process: signals and the exit code are its own.

    **Examples**

    - `meshproxy launch codex --room my-room`
    - `meshproxy launch claude --room my-room -- -p "what does this repository do?"`
    """
    found = find_agent(agent)
    target = make_target(found.name, Choice(room, server, session, model, credentials=Credentials.HELPER))
    program = target.machine.find(found.program)
    if program is None:
        raise NotFoundError(f"{found.title} is not installed: there is no `{found.program}` on the PATH")
    run = found.launch(target, tuple(context.args))
    token = fresh_token(target, _LIFETIME) if run.token_variables else ""
    environ = {name: value for name, value in os.environ.items() if name not in run.remove}
    environ |= {**run.environ, **dict.fromkeys(run.token_variables, token)}
    output.detail(f"running {found.program} in the room {target.room}, session {target.session}")
    _become(program, run, environ)


def _become(program: str, run: Launch, environ: dict[str, str]) -> None:
    """Let the agent take this process's place, where the system can do that."""
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(program, list(run.arguments), environ)  # noqa: S606 (the agent that was asked for)
    raise typer.Exit(subprocess.run([program, *run.arguments[1:]], env=environ, check=False).returncode)  # noqa: S603
