"""A token for programs that take it from a variable, made by the very command that agents run."""

import os
import subprocess

from meshproxy_cli.agents.base import Target
from meshproxy_cli.agents.helper import own_program
from meshproxy_cli.errors import CredentialError

_TIMEOUT_S = 30.0


def fresh_token(target: Target, expires_in: str) -> str:
    """Return a token for the target's room. Raises `CredentialError` with what the helper says."""
    start = target.helper.index("token")
    command = [*own_program(os.environ), *target.helper[start:], "--expires-in", expires_in]
    try:
        done = subprocess.run(  # noqa: S603 (our own command)
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise CredentialError(f"no token for the room {target.room} came within {_TIMEOUT_S:g} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("error: ")
        raise CredentialError(f"there is no token for the room {target.room}: {said}")
    return done.stdout.decode().strip()
