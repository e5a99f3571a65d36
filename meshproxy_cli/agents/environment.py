"""The environment that an agent is started with, and so all that the model runs: without this machine's secrets."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.settings.providers import KEY_VARIABLES

# What the token command reads; none of it is secret. All other variables of ours are left out.
_NEEDED = frozenset(
    {
        "MESHPROXY_HOME",
        "MESHPROXY_KEYRING",
        "MESHPROXY_KEYRING_TIMEOUT",
        "MESHPROXY_INSECURE_HTTP",
        "MESHAGENT_API_URL",
        "MESHAGENT_PROJECT_ID",
        "MESHAGENT_ROOM",
    }
)
_OURS = ("MESHPROXY_", "MESHAGENT_")
_REFERENCE = re.compile(r"env:([A-Za-z_]\w{0,255})")
_MOST_READ = 1024 * 1024


def agent_environment(environ: Mapping[str, str], server_file: Path, *, keep: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables that an agent may have: no secret of ours, and no provider key of this machine's server.

    `keep` names those that its token command can't do without. PATH is passed on without relative entries.
    """
    secret = secret_variables(environ, server_file).difference(keep)
    passed = {name: value for name, value in environ.items() if name not in secret}
    if "PATH" in passed:
        passed["PATH"] = Machine.current(environ).search_path()
    return passed


def secret_variables(environ: Mapping[str, str], server_file: Path) -> set[str]:
    """Return the names of the variables that are set here and that no agent needs."""
    held = {*KEY_VARIABLES.values(), *_REFERENCE.findall(_text(server_file))}
    return {name for name in environ if name in held or (name.startswith(_OURS) and name not in _NEEDED)}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_READ).decode(errors="replace")
    except OSError:
        return ""


def needs_minting(environ: Mapping[str, str]) -> bool:
    """Whether the API key is in the environment, where an agent's token command would have to find it."""
    return bool(environ.get("MESHAGENT_API_KEY", "").strip())
