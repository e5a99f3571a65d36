"""`meshproxy logout`: no secret of meshproxy stays on this machine."""

from typing import Annotated

import typer

from meshproxy_cli.cli import context, output
from meshproxy_cli.cli.secret.commands import MASTER_KEY, agree_to_lose_master_key, forget_all
from meshproxy_cli.errors import UnavailableError

_OF_THE_SERVER = (MASTER_KEY, "provider/")


def logout(
    keep_server: Annotated[
        bool,
        typer.Option("--keep-server", help="Keep what `meshproxy serve` needs: provider keys and the master key."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask, even if a database becomes unreadable.")
    ] = False,
) -> None:
    """Remove every secret of meshproxy from this machine.

    Settings stay. Keys that the environment holds (`MESHAGENT_API_KEY`, `MESHAGENT_TOKEN`) are not meshproxy's to
    remove; they are named if they are set.

    **Examples**

    - `meshproxy logout`
    - `meshproxy logout --keep-server`
    """
    secrets = context.secrets()
    names = [entry.name for entry in secrets.names()]
    if keep_server:
        names = [name for name in names if not name.startswith(_OF_THE_SERVER)]
    if MASTER_KEY in names:
        agree_to_lose_master_key(yes=yes)
    problems = forget_all(secrets, names)
    if problems:
        left = ", ".join(name for name in names if name in {entry.name for entry in secrets.names()})
        raise UnavailableError(f"{problems[0].message}; not removed: {left}", hint=problems[0].hint)
    output.success(f"removed {len(names)} secret{'' if len(names) == 1 else 's'}" if names else "nothing was kept")
    for variable in context.credential_variables():
        output.note(f"{variable} is still set in this environment")
