"""`meshproxy setup`: from nothing to a working agent, step by step; it can be run again at any time."""

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from meshproxy_cli.agents.registry import AGENTS
from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.doctor.desk import CliDesk
from meshproxy_cli.cli.serve import service
from meshproxy_cli.cli.setup.answers import Answers, Flags, ask
from meshproxy_cli.cli.setup.plan import Step, next_commands, plan
from meshproxy_cli.doctor.ask import ask as probe_server
from meshproxy_cli.doctor.check import Status
from meshproxy_cli.doctor.registry import CHECKS
from meshproxy_cli.doctor.run import exit_code, first_failure, jobs, run
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.server import LIMIT_S
from meshproxy_cli.doctor.trial import trial_check
from meshproxy_cli.errors import UnavailableError, UsageError
from meshproxy_cli.settings.servers import Server

_NAMES = ", ".join(agent.name for agent in AGENTS)
_PROBE_LIMIT_S = 10.0
_RUNNABLE = ("codex", "claude", "opencode", "pi")


def setup(
    *,
    server: Annotated[str | None, options.server("local (this machine), a team's URL, or meshagent.")] = None,
    room: Annotated[str | None, options.room("The room that the agents are to use.")] = None,
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", metavar="AGENT", help=f"An agent, repeatable: {_NAMES}.", autocompletion=names.agents),
    ] = None,
    model: Annotated[
        str | None,
        options.model("The model to ask for; Codex and Claude Code have their own, others have to be told one."),
    ] = None,
    key_file: Annotated[
        Path | None,
        options.file("--key-file", text="API key, token or access token from your admin; `-` is standard input."),
    ] = None,
    as_service: Annotated[
        bool, typer.Option("--service", help="Run this machine's Room Proxy as a service of your user.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="With --service: stop the service and remove its file.")] = False,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Try it all in the end, live.")] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do what the plan says without asking.")] = False,
) -> int:
    """Go from nothing to a working agent: server, key, room, agents, and a live check through each.

    It uses what is there already, shows what it is going to do before doing it, and can be run again at any time.

    **Examples**

    - `meshproxy setup`
    - `meshproxy setup --server local --room my-room --agent codex --agent claude --yes`
    - `meshproxy setup --server https://mesh.example.com --key-file key.txt --room my-room --agent codex --yes`
    - `meshproxy setup --service`
    - `meshproxy setup --service --undo`
    """
    if undo:
        return _undo(as_service=as_service, yes=yes)
    flags = Flags(server, room, tuple(dict.fromkeys(agent or ())), key_file, yes, as_service, model)
    answers = ask(flags, partial(_require_server, as_service=as_service, check=check))
    unit = service.plan() if as_service and answers.server.local else None
    steps = plan(answers, unit)
    if steps:
        _do(steps, yes=yes)
    else:
        output.success("everything is set up already; nothing to change")
    code = _check(answers) if check else 0
    if code == 0:
        output.note("Next, type:")
        for command in next_commands(answers):
            output.text(command)
    return code


def _undo(*, as_service: bool, yes: bool) -> int:
    if not as_service:
        raise UsageError("--undo goes with --service", hint="an agent is undone with: meshproxy configure AGENT --undo")
    unit = service.plan()
    if not unit.path.exists():
        output.success(f"there is no service: {unit.path} does not exist")
        return 0
    output.preview(f"This is what will be done:\n{unit.removal}")
    if not yes and not output.confirm("Do it?", flag="--yes"):
        raise typer.Abort
    unit.remove()
    return 0


def _require_server(server: Server, *, as_service: bool, check: bool) -> None:
    """See that the server answers: nothing is asked for, and nothing written, where it is not there."""
    if server.local:
        if not as_service:
            _require_running(server)
        return
    if as_service:
        raise UsageError("--service runs the Room Proxy of this machine", hint="leave it out, or choose --server local")
    if not check:
        return
    try:
        probe_server("GET", f"{server.url}/readyz", limit_s=_PROBE_LIMIT_S)
    except UnavailableError as problem:
        raise UnavailableError(
            problem.message, hint="is the URL right? to set all up without trying it: --no-check"
        ) from None


def _require_running(server: Server) -> None:
    """Say how the server of this machine is started."""
    import socket  # noqa: PLC0415 (for this machine's server only)
    from urllib.parse import urlsplit  # noqa: PLC0415

    parts = urlsplit(server.url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=LIMIT_S).close()
    except OSError:
        raise UnavailableError(
            f"the Room Proxy of this machine does not run (nothing answers at {server.url})",
            hint="start it in another terminal: meshproxy serve; or let it run as a service: meshproxy setup --service",
        ) from None


def _do(steps: list[Step], *, yes: bool) -> None:
    output.note("This is what will be done:")
    for number, step in enumerate(steps, 1):
        output.note(f"{number}. {step.title}")
        if step.preview:
            output.preview(step.preview.rstrip("\n"))
    if not yes and not output.confirm("Do it?", flag="--yes"):
        raise typer.Abort
    for step in steps:
        step.run()


def _check(answers: Answers) -> int:
    """Walk the chain as `doctor` does, with every agent run once; tell what is not well."""
    output.note("Trying it, live (one word each) …")
    scene = DoctorContext(context.paths(), os.environ, CliDesk(), answers.server.name, answers.room, limit_s=10.0)
    trials = [trial_check(name) for name in answers.agents if name in _RUNNABLE]
    mine = tuple(one for one in scene.receipts if one.agent in answers.agents)
    results = []
    for result in run(scene, jobs((*CHECKS, *trials), mine)):
        results.append(result)
        if result.id.startswith(("live-", "run-")) and result.status is Status.OK:
            output.success(f"{result.title}: {result.outcome.found}")
        elif result.status in {Status.WARNING, Status.FAILED}:
            output.warn(f"{result.title}: {result.outcome.found}")
    code = exit_code(results)
    first = first_failure(results)
    if code and first is not None:
        output.note(f"First: {first.title}: {first.outcome.found} → {first.outcome.remedy or first.outcome.advice}")
        output.note("`meshproxy doctor` shows the whole chain")
    return code
