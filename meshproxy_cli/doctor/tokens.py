"""Checks of the token of an agent that runs no command for one: it reads a variable, or a file holds it."""

import re
import time
from pathlib import Path

from meshproxy_cli.agents.base import TOKEN_VARIABLE, Credentials
from meshproxy_cli.agents.registry import find_agent
from meshproxy_cli.configedit import files
from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor.check import Outcome, again, bad, doubtful, fresh_variable, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.tokens.participant import TokenError, check_times, decode_unverified
from meshproxy_cli.tokens.reading import refusals

_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def runs_command(receipt: Receipt) -> bool:
    """Whether the agent, or the shell that reads its `.env` file, runs our command for a token."""
    by_command = receipt.credentials == Credentials.HELPER
    return by_command and (find_agent(receipt.agent).runs_commands or receipt.scope == "env-file")


def token_it_reads(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """Look at the token that the agent was given. That none is there, `agent-overrides` says where it is a fault."""
    agent = find_agent(receipt.agent)
    if receipt.credentials == Credentials.INLINE:
        return _in_file(receipt)
    if agent.name == "aider":
        return good("none: aider reads its token from the variable of the provider's key")
    text = scene.environ.get(TOKEN_VARIABLE, "").strip()
    renew = fresh_variable(receipt.room, f" --server {quoted(receipt.server)}")
    if text:
        problem = _unfit(text, receipt.room)
        return bad(f"{TOKEN_VARIABLE}: {problem}", renew) if problem else good(f"none: it reads {TOKEN_VARIABLE}")
    if receipt.credentials == Credentials.ENV:
        return good(f"none: it reads {TOKEN_VARIABLE}")
    return doubtful(
        f"{agent.title} can't run one; it reads {TOKEN_VARIABLE}, which is not set in this shell",
        renew,
        advice=f"`meshproxy launch {agent.name}` sets it for one run; for this shell:",
    )


def _in_file(receipt: Receipt) -> Outcome:
    found = _TOKEN.search((files.read(Path(receipt.place)) or b"").decode(errors="replace"))
    if found and (problem := _unfit(found.group(), receipt.room)):
        return bad(f"the token in {receipt.place}: {problem}", again(receipt), safe=True)
    return good("none: the token stands in the file")


def _unfit(token: str, room: str) -> str:
    """Return why a token is of no use in a room, or ""."""
    try:
        claims = decode_unverified(token)
        check_times(claims, now=int(time.time()))
    except TokenError as problem:
        return problem.message
    return "; ".join(refusals(claims, room=room))
