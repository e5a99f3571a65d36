"""`meshproxy doctor`: walk the chain from this machine to the provider, and show where it breaks."""

import os
import shlex
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from meshproxy_cli import __version__
from meshproxy_cli.agents.helper import own_program
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.doctor.desk import CliDesk
from meshproxy_cli.cli.token.get import login_name
from meshproxy_cli.doctor.check import Check, CheckResult, Status
from meshproxy_cli.doctor.registry import CHECKS
from meshproxy_cli.doctor.run import exit_code, first_failure, jobs, run
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.trial import trial_check
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.settings.urls import is_loopback

_MARKS = {Status.OK: "✓", Status.WARNING: "!", Status.FAILED: "✗", Status.UNKNOWN: "?"}
_SCHEMA = 1


def doctor(
    *,
    room: Annotated[str | None, options.room("The room (default: the configured one).")] = None,
    server: options.Server = None,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            "--agent",
            metavar="AGENT",
            help="Run this agent once too, after asking (may cost a little).",
            autocompletion=names.agents,
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Only what needs no network.")] = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="Send a short request for each protocol.")] = True,
    limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="Seconds that the server may take for one answer.", min=0.1)
    ] = 2.0,
    fix: Annotated[bool, typer.Option("--fix", help="Run the safe commands, after showing them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --fix or --agent.")] = False,
    as_json: options.Json = False,
    report: Annotated[Path | None, options.file("--report", text="Write a redacted report into this file.")] = None,
) -> int:
    """Find out why an agent does not work, and mend it.

    Each line says what was found and, where something is wrong, the command that mends it. The exit code is 0 where
    all is well, 1 where something is broken, and 2 where it could not be checked.

    **Examples**

    - `meshproxy doctor`
    - `meshproxy doctor --room my-room --agent codex`
    - `meshproxy doctor --fix`
    - `meshproxy doctor --json --report report.json`
    """
    for name in agent or []:
        find_agent(name)  # a misspelled one is told before anybody waits
    scene = _scene(server, room, limit, offline=offline)
    checks = _chosen(offline=offline, live=live)
    agents = [name for name in agent or [] if not offline and _agreed(name, yes=yes)]
    results = _examine(scene, checks, agents, show=not as_json)
    if fix and (done := _fix(results, yes=yes)):
        output.note(f"{done} command(s) were run; once more:")
        scene = _scene(server, room, limit, offline=offline)
        results = _examine(scene, checks, agents, show=not as_json)
    found = _as_json(results)
    if as_json:
        output.data(found)
    else:
        _close(results)
    if report is not None:
        _write_report(report, found, scene)
    return exit_code(results)


def _scene(server: str | None, room: str | None, limit: float, *, offline: bool) -> DoctorContext:
    return DoctorContext(context.paths(), os.environ, CliDesk(), server, room, limit, offline=offline)


def _chosen(*, offline: bool, live: bool) -> tuple[Check, ...]:
    kept = [check for check in CHECKS if not (check.network and offline) and not (check.live and not live)]
    names = {check.id for check in kept}
    return tuple(replace(check, after=tuple(name for name in check.after if name in names)) for check in kept)


def _agreed(name: str, *, yes: bool) -> bool:
    return yes or output.confirm(f"Run {name} once with a one-word prompt (a fraction of a cent)?", flag="--yes")


def _examine(scene: DoctorContext, checks: tuple[Check, ...], agents: list[str], *, show: bool) -> list[CheckResult]:
    trials = tuple(trial_check(name) for name in agents)
    results = []
    for result in run(scene, jobs((*checks, *trials), scene.receipts)):
        results.append(result)
        if show:
            _show(result)
    return results


def _show(result: CheckResult) -> None:
    one = result.outcome
    output.text(f"{_MARKS[one.status]} {result.title}: {one.found}")
    if one.advice:
        output.text(f"    {one.advice}")
    if one.remedy:
        output.text(f"    → {one.remedy}")


def _close(results: list[CheckResult]) -> None:
    first = first_failure(results)
    if first is None:
        output.text("All is well.")
        return
    remedy = first.outcome.remedy or first.outcome.advice
    begin = "All works. What may surprise, first" if exit_code(results) == 0 else "First"
    output.text(f"{begin}: {first.title}: {first.outcome.found}" + (f" → {remedy}" if remedy else ""))


def _fix(results: list[CheckResult], *, yes: bool) -> int:
    """Run the safe commands and return how many there were."""
    commands = list(dict.fromkeys(one.outcome.remedy for one in results if one.outcome.safe and one.outcome.remedy))
    if not commands:
        output.note("there is nothing that can be mended safely without you")
        return 0
    output.preview("\n".join(["These commands would be run:", *(f"  {command}" for command in commands)]))
    if not yes and not output.confirm("Run them?", flag="--yes"):
        return 0
    for command in commands:
        place, _, rest = command.rpartition(" && ")  # before it stands `cd DIRECTORY` at most
        words = shlex.split(rest)
        if words[0] == "meshproxy":
            words[:1] = own_program(os.environ)
        else:
            words[0] = Machine.current(os.environ).find(words[0]) or words[0]
        cwd = shlex.split(place)[1] if place else None
        subprocess.run(words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # noqa: S603 (shown and agreed)
    return len(commands)


def _as_json(results: list[CheckResult]) -> dict[str, Any]:
    first = first_failure(results)
    return {
        "schema_version": _SCHEMA,
        "version": __version__,
        "ok": exit_code(results) == 0,
        "first": first.id if first else None,
        "checks": [result.as_json() for result in results],
    }


def _write_report(path: Path, found: dict[str, Any], scene: DoctorContext) -> None:
    from meshproxy_cli.configedit.atomic import replacing  # noqa: PLC0415
    from meshproxy_cli.doctor.redact import redact_all  # noqa: PLC0415 (only where a report is wanted)

    content = redact_all(found, scene.machine.home, _names(scene))
    with replacing(path, parents=True) as file:
        file.write(f"{output.json_text(content, indent=2)}\n".encode())
    output.success(f"wrote {path}, with secrets, hosts and your name taken out; read it before you send it")


def _names(scene: DoctorContext) -> dict[str, str]:
    """Return the names that say who or where somebody is, with what stands for them in a report."""
    machine = socket.gethostname()
    short = machine.partition(".")[0]
    sessions = {one.session: one.session.replace(short, "MACHINE") for one in scene.receipts if short}
    names = {**sessions, machine: "MACHINE", short: "MACHINE"}
    if (user := login_name()) != "meshproxy":  # every command begins with that, and it says nothing
        names[user] = "USER"
    try:
        host = urlsplit(scene.server.url).hostname or ""
    except MeshproxyError:
        return names
    return names if is_loopback(host) else {**names, host: "HOST"}
