"""Our block in a `.env` file, which a shell can source and which gets its token from our command."""

import shlex
import subprocess
from collections.abc import Mapping

from meshproxy_cli.agents.base import TOKEN_VARIABLE, Credentials, Target
from meshproxy_cli.agents.variables import dotenv_quote, posix_quote
from meshproxy_cli.configedit.desired import DesiredConfig, DesiredFile, Format, Setting, Slot
from meshproxy_cli.errors import UsageError

_GIT_TIMEOUT_S = 5
#: Keeps git from running what a repository's own configuration names.
UNTRUSTED = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


def env_file_config(target: Target, agent: str, plain: Mapping[str, str], secret: tuple[str, ...]) -> DesiredConfig:
    """Return what `target.env_file` should contain: variables in `plain`, and the token in each of `secret`."""
    if target.env_file is None:
        raise UsageError("no .env file given", hint="add --env-file .env")
    body = env_block(target, plain, secret)
    inline = target.credentials is Credentials.INLINE
    desired = DesiredFile(target.env_file, Format.BLOCK, (Setting(Slot((agent,)), body),), private=inline)
    warnings = (_git_warning(target),) if inline and _git_would_track(target) else ()
    load = f"set -a; . {shlex.quote(str(target.env_file))}; set +a; {agent}"
    return DesiredConfig((desired,), warnings=warnings, try_it=load)


def env_block(target: Target, plain: Mapping[str, str], secret: tuple[str, ...]) -> str:
    """Return the lines between the markers. Inline lines are such that loaders without a shell read them too."""
    if target.credentials is Credentials.INLINE:
        values = dict(plain) | dict.fromkeys(secret, target.token or "")
        return "".join(f"{name}={dotenv_quote(value)}\n" for name, value in values.items())
    token = f"${TOKEN_VARIABLE}" if target.credentials is Credentials.ENV else f"$({shlex.join(target.helper)})"
    lines = [f"export {name}={posix_quote(value)}" for name, value in plain.items()]
    lines += [f'export {name}="{token}"' for name in secret]
    return "".join(f"{line}\n" for line in lines)


def _git_would_track(target: Target) -> bool:
    """Ask git whether the file is in a working tree and not ignored."""
    git = target.machine.find("git")
    path = target.env_file
    if git is None or path is None:
        return False
    try:
        done = subprocess.run(  # noqa: S603 (git, found on the PATH)
            [git, *UNTRUSTED, "-C", str(path.parent), "check-ignore", "--quiet", path.name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 1  # 0: ignored; 128: no repository


def _git_warning(target: Target) -> str:
    return f"git would track {target.env_file}, and a token is in it: add it to .gitignore"
