"""Checks of what an agent really reads: its directory, and a login that may come before or after our token."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from meshproxy_cli.agents.claude import claude_home
from meshproxy_cli.agents.claude_check import login
from meshproxy_cli.agents.codex import codex_home
from meshproxy_cli.agents.env_file import UNTRUSTED
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor.check import Outcome, again, bad, doubtful, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.redact import holds_secret

_GIT_LIMIT_S = 5
_MOST_READ = 1024 * 1024
_HOMES: dict[str, tuple[str, Callable[[Machine], Path]]] = {
    "codex": ("CODEX_HOME", codex_home),
    "claude": ("CLAUDE_CONFIG_DIR", claude_home),
}


def directory(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """See whether the agent looks where we wrote: a variable may lead it elsewhere."""
    if receipt.scope != "user" or receipt.agent not in _HOMES:
        return good("")
    variable, home_of = _HOMES[receipt.agent]
    read, written = home_of(scene.machine), receipt.files[0].path.parent
    if read.resolve() == written.resolve():
        return good(str(read))
    if scene.environ.get(variable):
        return bad(f"{variable} makes it read {read}, and our settings lie in {written}", f"unset {variable}")
    return bad(f"it reads {read}, and our settings were written to {written}", again(receipt), safe=True)


def account(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """Say whether Claude Code is logged in, and whether that login is used for the room (seen with 2.1.330).

    A token command comes before a login. Without one, and without a token variable, the login's own token is sent to
    wherever ANTHROPIC_BASE_URL points.
    """
    who = login(scene.machine)
    if who is None:
        return good("no account is logged in, and none is needed")
    if receipt.scope != "env-file":
        return good(f"logged in as {who}; the token command comes first")
    if scene.environ.get("ANTHROPIC_AUTH_TOKEN"):
        return good(f"logged in as {who}; this shell's ANTHROPIC_AUTH_TOKEN comes first")
    load = f"set -a; . {quoted(receipt.place)}; set +a"
    if scene.environ.get("ANTHROPIC_BASE_URL"):
        return bad(f"it would send the login of {who} to {scene.environ['ANTHROPIC_BASE_URL']}", load)
    return doubtful(f"this shell has not read {receipt.place}, so Claude Code goes by its login, {who}", load)


def dotenv(scene: DoctorContext) -> Outcome:
    """See whether git tracks a `.env` of this directory that holds a key or a token."""
    path = scene.machine.cwd / ".env"
    try:
        with path.open("rb") as file:
            secret = holds_secret(file.read(_MOST_READ).decode(errors="replace"))
    except OSError:
        return good("")
    if not secret:
        return good(f"{path} holds no key and no token")
    return tracked(scene, path)


def env_file(scene: DoctorContext, receipt: Receipt) -> Outcome:
    """See whether git tracks the `.env` file that we wrote a token into."""
    return tracked(scene, Path(receipt.place)) if receipt.scope == "env-file" else good("")


def tracked(scene: DoctorContext, path: Path) -> Outcome:
    """See whether git tracks a file with a secret in it."""
    git = scene.machine.find("git")
    if git is None:
        return good("there is no git here")
    done = subprocess.run(  # noqa: S603 (git, about one file)
        [git, *UNTRUSTED, "-C", str(path.parent), "ls-files", "--error-unmatch", path.name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_GIT_LIMIT_S,
        check=False,
    )
    if done.returncode == 0:
        remove = f"git -C {quoted(path.parent)} rm --cached {quoted(path.name)}"
        return bad(f"git tracks {path}, which holds a key or token", remove, advice="and replace what was in it")
    return good(f"git does not track {path.name}")
