"""`meshproxy configure`: make an agent use a room, show what was configured, and take it back."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from meshproxy_cli.agents.base import Agent, Credentials, Finding, Target
from meshproxy_cli.agents.configuring import plan_for
from meshproxy_cli.agents.helper import survives
from meshproxy_cli.agents.registry import AGENTS, find_agent
from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.agent.fresh_token import fresh_token
from meshproxy_cli.cli.agent.targets import Choice, make_target
from meshproxy_cli.cli.completion import names
from meshproxy_cli.configedit import apply as applying
from meshproxy_cli.configedit import show
from meshproxy_cli.configedit.plan import Plan
from meshproxy_cli.configedit.receipts import Receipt, load_all
from meshproxy_cli.configedit.state import state_of
from meshproxy_cli.configedit.undo import UndoPlan, make_undo
from meshproxy_cli.errors import MeshproxyError, NotFoundError, UsageError

# Where agents keep their settings if not below the home directory.
_HOMES = (
    "CODEX_HOME",
    "CLAUDE_CONFIG_DIR",
    "PI_CODING_AGENT_DIR",
    "CRUSH_GLOBAL_CONFIG",
    "OPENCODE_CONFIG",
    "XDG_CONFIG_HOME",
)
_NAMES = ", ".join(agent.name for agent in AGENTS)


def configure(
    agent: Annotated[
        str | None, typer.Argument(help=f"One of: {_NAMES}.", show_default=False, autocompletion=names.agents)
    ] = None,
    *,
    room: Annotated[str | None, options.room("The room that the agent is to use.")] = None,
    server: options.Server = None,
    session: Annotated[
        str | None, options.session("The name under which usage is grouped (default: agent and host name).")
    ] = None,
    model: Annotated[str | None, options.model("The model to ask for (default: the agent's own).")] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="The profile's or provider's name (default: meshproxy).")
    ] = None,
    default: Annotated[bool, typer.Option("--default", help="The agent's default, not only a profile.")] = False,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="Codex: all in the profile's own file; config.toml is left alone.")
    ] = False,
    project: Annotated[
        bool, typer.Option("--project", help="Claude Code: in .claude/settings.local.json of this directory.")
    ] = False,
    credentials: Annotated[
        Credentials,
        typer.Option(help="How the agent gets its token: it runs our command, reads MESHAGENT_ROOM_TOKEN, or inline."),
    ] = Credentials.HELPER,
    env_file: Annotated[
        Path | None,
        options.file("--env-file", text="Write a block into this .env file instead of the agent's settings."),
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what was configured.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List what is configured where.")] = False,
    print_: Annotated[bool, typer.Option("--print", help="Print the snippet to paste; write nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes as a diff; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Write without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list: as JSON.")] = False,
) -> None:
    """Make an agent use a room, or undo that.

    Only keys that are ours are changed, every file is backed up, and `--undo` takes it back.

    **Examples**

    - `meshproxy configure codex --room my-room`
    - `meshproxy configure claude --room my-room --dry-run`
    - `meshproxy configure codex --undo`
    - `meshproxy configure --list`
    """
    if list_:
        _list(as_json=as_json)
        return
    if agent is None:
        raise UsageError("no agent given", hint=f"one of {_NAMES}: meshproxy configure codex --room my-room")
    found = find_agent(agent)
    place = env_file.absolute() if env_file else Path.cwd() if project else None
    if undo:
        _undo(found, _receipts_to_undo(found.name, profile, place), dry_run=dry_run, yes=yes)
        return
    choice = Choice(
        room,
        server,
        session,
        model,
        profile,
        credentials,
        make_default=default,
        standalone=standalone,
        project=place if project else None,
        env_file=place if env_file else None,
    )
    target = make_target(found.name, choice)
    if print_:
        output.verbatim(found.snippet(target).rstrip("\n"))
        return
    _configure(found, target, dry_run=dry_run, yes=yes)


def _configure(agent: Agent, target: Target, *, dry_run: bool, yes: bool) -> None:
    plan = plan_for(agent, target, context.paths().receipts_dir)
    for warning in plan.warnings:
        output.warn(warning)
    if not survives(target.helper):
        output.warn(f"{target.helper[0]} may be gone tomorrow; install meshproxy with pipx or uv tool")
    if dry_run:
        _show(plan)
        return
    if not plan.changes:
        output.success(f"{agent.title} is configured already for the room {target.room}; nothing to change")
    else:
        _apply(agent, plan, yes=yes)
    for note in plan.notes:
        output.note(note)
    for finding in (*agent.check(target), *_token_finding(target)):
        output.warn(f"{finding.problem}; {finding.remedy}")


def _token_finding(target: Target) -> tuple[Finding, ...]:
    """Try the command that the agent is going to run."""
    if target.credentials is not Credentials.HELPER:
        return ()
    try:
        fresh_token(target, "1m")
    except MeshproxyError as problem:
        return (Finding(problem.message, "nothing else is missing: the agent works once there is one"),)
    return ()


def _show(plan: Plan) -> None:
    diff = show.diff(plan.edits)
    if diff:
        output.document(diff.rstrip("\n"))
    else:
        output.note("nothing would change")


def _apply(agent: Agent, plan: Plan, *, yes: bool) -> None:
    if not yes:
        output.preview(show.diff(plan.edits))
    output.agree(f"Make these changes for {agent.title}?", yes=yes)
    receipt = applying.apply(plan, _apply_context())
    for edit, record in zip(plan.edits, receipt.files, strict=True):
        if edit.changes:
            backup = f" (as it was before: {record.backups[-1].name})" if record.backups else ""
            output.success(f"wrote {edit.path}{backup}")
    output.note(f"try it: {plan.try_it}")
    output.note(f"take it back: meshproxy configure {agent.name} --undo")


def _receipts_to_undo(agent: str, profile: str | None, place: Path | None) -> tuple[Receipt, ...]:
    """Return what is to be taken back: of this user's settings, or of the one project or file that is named."""
    receipts = _receipts(agent)
    chosen = [one for one in receipts if profile in {None, one.profile} and _is_meant(one, place)]
    if not chosen:
        elsewhere = ", ".join(one.place for one in receipts)
        raise NotFoundError(
            f"meshproxy did not configure {agent} here" + (f" under the name {profile}" if profile else ""),
            hint=f"it did in {elsewhere}: add --profile, --project or --env-file" if elsewhere else None,
        )
    return tuple(chosen)


def _is_meant(receipt: Receipt, place: Path | None) -> bool:
    where = Path(receipt.place)
    if place is not None:
        return where == place or where == place / ".claude" / "settings.local.json"
    homes = [Path.home(), *(Path(os.environ[name]).expanduser() for name in _HOMES if os.environ.get(name))]
    return receipt.scope == "user" and any(where.is_relative_to(home.absolute()) for home in homes)


def _undo(agent: Agent, receipts: tuple[Receipt, ...], *, dry_run: bool, yes: bool) -> None:
    # The newest first: each then finds the file as it left it.
    for receipt in reversed(receipts):
        plan = make_undo(receipt)
        if dry_run:
            output.document(show.diff([item.edit for item in plan.files]).rstrip("\n"))
        else:
            _take_back(agent, plan, yes=yes)


def _take_back(agent: Agent, plan: UndoPlan, *, yes: bool) -> None:
    edits = [item.edit for item in plan.files]
    if not yes:
        output.preview(show.diff(edits))
    output.agree(f"Take back the room {plan.receipt.room} from {agent.title}?", yes=yes)
    applying.undo(plan, _apply_context())
    for item in plan.files:
        if item.edit.changes:
            how = "is as it was before" if item.exact else "is without our keys; later changes by others stay"
            output.success(f"{item.edit.path} {how}")
        for slot in item.left:
            output.warn(f"{item.edit.path}: left `{'.'.join(slot.path)}`, which was changed since")


def _list(*, as_json: bool) -> None:
    receipts = load_all(context.paths().receipts_dir)
    rows = [(receipt, record.path, state_of(record)) for receipt in receipts for record in receipt.files]
    if as_json:
        output.data({"configured": [_as_data(receipt, path, state) for receipt, path, state in rows]})
        return
    if not rows:
        output.note("nothing is configured; begin with: meshproxy configure codex --room my-room")
        return
    titles = ("Agent", "Profile", "Room", "Server", "Session", "File", "State")
    columns = [output.Column(title, fold=title == "File") for title in titles]
    output.table(columns, [[str(value) for value in _as_data(*row).values()] for row in rows])


def _as_data(receipt: Receipt, path: Path, state: str) -> dict[str, str]:
    return {
        "agent": receipt.agent,
        "profile": receipt.profile,
        "room": receipt.room,
        "server": receipt.server,
        "session": receipt.session,
        "file": str(path),
        "state": state,
    }


def _receipts(agent: str) -> tuple[Receipt, ...]:
    return tuple(one for one in load_all(context.paths().receipts_dir) if one.agent == agent)


def _apply_context() -> applying.ApplyContext:
    now = time.time()
    return applying.ApplyContext(
        context.paths().receipts_dir, int(now), time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    )
