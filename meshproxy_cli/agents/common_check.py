"""Checks that every agent shares."""

import shlex
from collections.abc import Iterator

from meshproxy_cli.agents.base import TOKEN_VARIABLE, Credentials, Finding, Target
from meshproxy_cli.agents.project_check import project_findings


def shared_findings(program: str, install: str, target: Target) -> Iterator[Finding]:
    """Report a program that is missing, a variable without its token, and a repository that diverts the agent."""
    if target.machine.find(program) is None:
        yield Finding(f"`{program}` is not on the PATH", f"install it: {install}")
    if target.credentials is Credentials.ENV and not target.machine.environ.get(TOKEN_VARIABLE):
        yield Finding(
            f"{TOKEN_VARIABLE} is not set in this shell",
            f'export {TOKEN_VARIABLE}="$(meshproxy token get --room {shlex.quote(target.room)})"',
        )
    yield from project_findings(program, target)
