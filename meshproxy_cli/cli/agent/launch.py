"""`meshproxy launch`: one run of an agent through a room, with nothing written."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from meshproxy_cli.agents.base import DIRECTORY, TOKEN_VARIABLE, Credentials, Launch
from meshproxy_cli.agents.environment import agent_environment, needs_minting
from meshproxy_cli.agents.project_check import project_findings
from meshproxy_cli.agents.registry import AGENTS, find_agent
from meshproxy_cli.agents.variables import ACCOUNT_VARIABLES
from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.agent.fresh_token import fresh_token
from meshproxy_cli.cli.agent.targets import Choice, make_target
from meshproxy_cli.cli.completion import names
from meshproxy_cli.errors import NotFoundError

# A token in a variable can't be renewed while the agent runs: it has to last for a working day.
_LIFETIME = "12h"
_NAMES = ", ".join(agent.name for agent in AGENTS)


def launch(
    typed: typer.Context,
    agent: Annotated[str, typer.Argument(help=f"One of: {_NAMES}.", show_default=False, autocompletion=names.agents)],
    *,
    room: Annotated[str | None, options.room("The room to use.")] = None,
    server: options.Server = None,
    session: Annotated[
        str | None, options.session("The name under which usage is grouped (default: agent and host name).")
    ] = None,
    model: Annotated[str | None, options.model("The model to ask for (default: the agent's own).")] = None,
) -> None:
    """Run an agent once through a room; no file is written. What stands after `--` goes to the agent.

    The agent takes the place of this process: signals and the exit code are its own.

    **Examples**

    - `meshproxy launch codex --room my-room`
    - `meshproxy launch claude --room my-room -- -p "what does this repository do?"`
    """
    found = find_agent(agent)
    # A key in the environment would be in reach of all that the model runs: the agent gets a token instead.
    how = Credentials.ENV if needs_minting(os.environ) and found.runs_commands else Credentials.HELPER
    target = make_target(found.name, Choice(room, server, session, model, credentials=how))
    program = target.machine.find(found.program)
    if program is None:
        raise NotFoundError(f"{found.title} is not installed: there is no `{found.program}` on the PATH")
    run = found.launch(target, tuple(typed.args))
    for finding in project_findings(found.name, target):
        output.warn(f"{finding.problem}; {finding.remedy}")
    variables = {*run.token_variables, *([TOKEN_VARIABLE] if how is Credentials.ENV else [])}
    token = fresh_token(target, _LIFETIME) if variables else ""
    environ = agent_environment(os.environ, context.paths().server_file)
    removed = {*run.remove, *ACCOUNT_VARIABLES}
    environ = {name: value for name, value in environ.items() if name not in removed}
    environ |= {**run.environ, **dict.fromkeys(variables, token)}
    output.detail(f"running {found.program} in the room {target.room}, session {target.session}")
    if run.files:
        raise typer.Exit(_run_beside_files(program, run, run.files, environ))
    _become(program, run.arguments, environ)


def _become(program: str, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
    """Let the agent take this process's place, where the system can do that."""
    if os.name == "posix":
        os.execve(program, list(arguments), environ)  # noqa: S606 (the agent that was asked for)
    raise typer.Exit(_run(program, arguments, environ))


def _run_beside_files(program: str, run: Launch, files: Mapping[str, str], environ: Mapping[str, str]) -> int:
    """Run the agent with its settings in a private directory, and remove that afterwards."""
    with tempfile.TemporaryDirectory(prefix="meshproxy-", ignore_cleanup_errors=True) as directory:
        for name, text in files.items():
            (Path(directory) / name).write_text(text, encoding="utf-8")
        arguments = [argument.replace(DIRECTORY, directory) for argument in run.arguments]
        return _run(program, arguments, {name: value.replace(DIRECTORY, directory) for name, value in environ.items()})


def _run(program: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the agent, hand it the signals that only this process gets, and return its exit code as a shell has it."""
    with subprocess.Popen([program, *arguments[1:]], env=dict(environ)) as agent:  # noqa: S603 (the agent asked for)
        # The terminal sends these to the agent itself.
        for name in ("SIGINT", "SIGQUIT"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda *_: None)
        for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), lambda number, _: agent.send_signal(number))
        code = agent.wait()
    return code if code >= 0 else 128 - code
