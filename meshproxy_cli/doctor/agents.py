"""Checks of every agent that was configured here: is it there, does it read what we wrote, does its helper run?"""

import json
import shlex
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import Finding
from meshproxy_cli.agents.codex import codex_home
from meshproxy_cli.agents.codex_form import CodexTooOldError, ProfileForm, form_of
from meshproxy_cli.agents.codex_legacy import find_leftovers
from meshproxy_cli.agents.helper import is_unsafe, program_of
from meshproxy_cli.agents.machine import Version
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.configedit import files
from meshproxy_cli.configedit.files import FileRefusedError, Files
from meshproxy_cli.configedit.formats.document import FormatError, ParseError
from meshproxy_cli.configedit.formats.toml_parser import parse
from meshproxy_cli.configedit.receipts import FileRecord, Receipt
from meshproxy_cli.configedit.state import State, state_of
from meshproxy_cli.doctor.check import Outcome, Status, again, bad, doubtful, good, project_of, quoted
from meshproxy_cli.doctor.programs import version_of
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.tokens import runs_command, token_it_reads

_SLOW_S = 3.0
_HELPER_LIMIT_S = 15.0
_MOST_SHOWN = 300
_TO_FILE = "meshproxy secret move --to file"
_KEYRING = "a keyring that is slow holds it up; a file that only you can read does not, and is not encrypted:"
_NOT_YET = "was not set up on this machine yet"


def installed(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """Find the agent's program and its version."""
    agent = find_agent(receipt.agent)
    if not agent.program:
        return good("configured by hand")
    path = scene.machine.find(agent.program)
    if path is None:
        finding = next(
            (one for one in _findings(scene, receipt) if "not on the PATH" in one.problem),
            Finding(f"`{agent.program}` is not on the PATH", f"install {agent.title}"),
        )
        return bad(finding.problem, finding.remedy.removeprefix("install it: "))
    version = _version(scene, agent.program)
    if version is None:
        return doubtful(f"{path} does not say its version", f"{agent.program} --version")
    return good(f"{'.'.join(map(str, version))} at {path}")


def settings(_: DoctorContext, receipt: Receipt) -> Outcome:
    """See whether the files still hold what we wrote; a project that was removed took them with it."""
    if receipt.scope != "user" and not (project_of(receipt) or Path(receipt.place).parent).is_dir():
        return good(f"{receipt.place} is gone with its directory")
    for record in receipt.files:
        state = state_of(record)
        if state is State.UNREADABLE:
            return _unreadable(record)
        if state is State.GONE:
            return bad(f"our settings are gone from {record.path}", again(receipt), safe=True)
        if state is State.CHANGED:
            return bad(f"our settings in {record.path} were changed", again(receipt))
    return good(", ".join(str(record.path) for record in receipt.files))


def legacy(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """Look for what Codex refuses to start with."""
    try:
        form = form_of(_version(scene, "codex"))
    except CodexTooOldError as problem:
        return bad(problem.message, (problem.hint or "").removeprefix("update it: "))
    if form is ProfileForm.TABLE:
        return good("this Codex keeps profiles in config.toml")
    home = codex_home(scene.machine)
    leftovers = find_leftovers(home, receipt.profile, Files())
    if leftovers.removals:
        what = "; ".join(warning.partition(":")[0] for warning in leftovers.warnings)
        return bad(what, again(receipt), safe=True)
    return good("no profile of the old form is in the way")


def overrides(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """Look for what wins over our settings: managed and project files, variables, logins."""
    if receipt.scope == "user" and _project_of_ours(scene, receipt):
        return good("in this directory the project's settings come first, and they are ours too")
    others = [one for one in _findings(scene, receipt) if "not on the PATH" not in one.problem]
    broken = [one for one in others if _NOT_YET not in one.problem]
    if broken:
        return _in_the_way(broken[0], receipt)
    if others:
        return doubtful(others[0].problem, advice=others[0].remedy)
    read = ", ".join(record.path.name for record in receipt.files)
    return good(f"it goes by {read}: no managed or project's settings and no variable come before")


def elsewhere(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """See whether the agent was configured for the server in question, at the URL that it has now."""
    if receipt.server not in {scene.server.name, scene.server.url}:
        return good(f"it uses the server {receipt.server}")
    if receipt.server_url != scene.server.url:
        return bad(
            f"it is configured for {receipt.server_url}, and {scene.server.name} is at {scene.server.url} now",
            again(receipt),
            safe=True,
        )
    return good(f"room {receipt.room}, session {receipt.session}")


def helper(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """Run the command that stands in the agent's settings for a token; else look at the token that it reads."""
    if not runs_command(receipt):
        return token_it_reads(scene, receipt)
    fresh = scene.desk.target(receipt).helper
    command = _written_helper(receipt) or fresh
    if is_unsafe(command):
        said = (
            f"the token command `{' '.join(map(quoted, command[:4]))} …` runs code of the directory that it starts in"
        )
        return bad(said, again(receipt), safe=True)
    program = program_of(command) or ""
    if scene.machine.find(program) is None:
        return bad(f"the agent runs {program} for a token, which is not there", again(receipt), safe=True)
    found = scene.once(f"helper/{command}", lambda: _try(scene, command))
    if found.status is not Status.FAILED or command == fresh:
        return found
    now = scene.once(f"helper/{fresh}", lambda: _try(scene, fresh))
    return found if now.status is Status.FAILED else replace(found, remedy=again(receipt), safe=True)


def _try(scene: DoctorContext, command: tuple[str, ...]) -> Outcome:
    start = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 (our own command, as it stands in the agent's settings)
            command,
            env=dict(scene.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_HELPER_LIMIT_S,
            check=False,
        )
    except OSError as problem:
        return bad(f"the token command {command[0]} can't be run ({problem.strerror})", " ".join(map(quoted, command)))
    except subprocess.TimeoutExpired:
        return bad(f"`{' '.join(command[-4:])}` took more than {_HELPER_LIMIT_S:.0f} s", _TO_FILE, advice=_KEYRING)
    seconds = time.monotonic() - start
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("error: ")[:_MOST_SHOWN]
        return bad(said or f"it ended with {done.returncode}", " ".join(map(quoted, command)))
    if seconds > _SLOW_S:
        return doubtful(f"works, in {seconds:.1f} s: agents wait for it", _TO_FILE, advice=_KEYRING)
    return good(f"prints a token in {seconds * 1000:.0f} ms")


def _version(scene: DoctorContext, program: str) -> Version | None:
    return scene.once(f"version/{program}", lambda: version_of(scene.machine, program))


def _findings(scene: DoctorContext, receipt: Receipt) -> tuple[Finding, ...]:
    key = f"findings/{receipt.name}"
    return scene.once(key, lambda: find_agent(receipt.agent).check(scene.desk.target(receipt)))


def _written_helper(receipt: Receipt) -> tuple[str, ...] | None:
    """Return the command that stands in the agent's settings, which may be another one than we would write now."""
    for record in receipt.files:
        try:
            text = (files.read(record.path) or b"").decode("utf-8-sig")
            if record.path.suffix == ".toml":
                auth = parse(text)["model_providers"][receipt.profile]["auth"]
                words = [auth["command"], *auth["args"]]
            elif receipt.scope == "env-file":
                words = shlex.split(text.partition('="$(')[2].partition(')"')[0])
            else:
                words = shlex.split(_command_in(json.loads(text), receipt.profile))
        except (ValueError, KeyError, TypeError, FormatError):
            continue
        if program_of(words) is not None:
            return tuple(words)
    return None


def _command_in(settings: dict[str, Any], profile: str) -> str:
    """Return the command line in Claude Code's, pi's or Crush's settings. Raises `KeyError` and `TypeError`."""
    if "apiKeyHelper" in settings:
        return str(settings["apiKeyHelper"])
    provider = settings["providers"][profile]
    key = str(provider.get("apiKey") or provider["api_key"])
    return key.removeprefix("!").removeprefix("$(").removesuffix(")")


def _unreadable(record: FileRecord) -> Outcome:
    """Report where the agent's file does not parse. It is the person's own: it is opened in an editor, never moved."""
    path = record.path
    try:
        Files().document(path, record.format)
    except ParseError as problem:
        return bad(f"{path} can't be read: {problem.message}", f'"${{EDITOR:-vi}}" +{problem.line} {quoted(path)}')
    except FormatError as problem:
        return bad(f"{path} can't be read: {problem.message}", f'"${{EDITOR:-vi}}" {quoted(path)}')
    except FileRefusedError as problem:
        return bad(problem.message, f"ls -l {quoted(path)}")
    return good(f"{path} can be read again")


def _project_of_ours(scene: DoctorContext, receipt: Receipt) -> bool:
    """Whether the agent was configured for the project in this directory as well."""
    here = scene.machine.cwd
    mine = (one for one in scene.receipts if one.agent == receipt.agent and one.scope == "project")
    return any(Path(one.place).parent.parent == here for one in mine)


def _in_the_way(finding: Finding, receipt: Receipt) -> Outcome:
    """Return what is in the way, with a command: ours where there is one, else an editor on the file."""
    if finding.remedy.startswith(("unset ", "export ", "meshproxy ")):
        return bad(finding.problem, finding.remedy)
    if finding.path is None:
        return bad(finding.problem, advice=finding.remedy)
    if finding.managed:
        edit = f"sudoedit {quoted(finding.path)}"
        return bad(finding.problem, edit, advice="it is managed; for whoever manages this machine:")
    if "--project" in finding.remedy:
        return bad(finding.problem, again(receipt, "--project"), advice="or take it out there")
    return bad(finding.problem, f'"${{EDITOR:-vi}}" {quoted(finding.path)}', advice=finding.remedy)
