"""`meshproxy secret`: what is kept on this machine, and where."""

from enum import StrEnum
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.settings.oskeyring import KeyringUnusableError
from meshproxy_cli.settings.secretfile import Place
from meshproxy_cli.settings.secrets import SecretEntry, SecretStore
from meshproxy_cli.suggest import did_you_mean

MASTER_KEY = "master-key"


class _To(StrEnum):
    OS = "os"
    FILE = "file"


def list_(
    as_json: options.Json = False,
) -> None:
    """List names and places of secrets, never values.

    **Example**

    - `meshproxy secret list`
    """
    secrets = context.secrets()
    entries = secrets.names()
    if as_json:
        output.data(
            {
                "keyring": secrets.mode,
                "file": str(secrets.path),
                "secrets": [
                    {"name": entry.name, "place": entry.place, "keyring_name": _keyring_name(entry)}
                    for entry in entries
                ],
            }
        )
        return
    if not entries:
        output.note("nothing is kept yet")
        return
    columns = (output.Column("Name"), output.Column("Place"), output.Column("Where", fold=True))
    output.table(columns, [(entry.name, _place(entry), _where(entry, secrets)) for entry in entries])


def move(
    to: Annotated[_To, typer.Option("--to", help="Where to: the OS keyring, or the file.")],
) -> None:
    """Move all secrets to the OS keyring or to the file.

    Each is removed from its old place once the new one has given it back.

    **Examples**

    - `meshproxy secret move --to os`
    - `meshproxy secret move --to file`
    """
    secrets = context.secrets()
    place = Place(to.value)
    moved = [entry.name for entry in secrets.names() if secrets.move(entry.name, place)]
    if not moved:
        output.note(f"nothing had to be moved: all secrets lie in {_place_name(place)} already")
        return
    output.success(f"moved to {_place_name(place)}: {', '.join(moved)}")
    if place is Place.FILE:
        output.warn(f"secrets lie unencrypted in {secrets.path} now (mode 0600)")


def forget(
    name: Annotated[str, typer.Argument(help="The name that `secret list` shows.", autocompletion=names.secrets)],
    yes: options.Yes = False,
) -> None:
    """Remove one secret.

    **Example**

    - `meshproxy secret forget api-key/local`
    """
    secrets = context.secrets()
    known = [entry.name for entry in secrets.names()]
    if name not in known:
        raise NotFoundError(
            f"there is no secret named {name!r}{did_you_mean(name, known)}",
            hint=f"there are: {', '.join(known)}" if known else "nothing is kept on this machine",
        )
    if name == MASTER_KEY:
        agree_to_lose_master_key(yes=yes)
    secrets.delete(name)
    output.success(f"removed {name}")


def agree_to_lose_master_key(*, yes: bool) -> None:
    """Ask before the master key goes, where a database needs it."""
    database = context.paths().database
    if database.exists():
        output.agree(
            f"This removes the master key: the API keys in {database} can never be used again. Go on?", yes=yes
        )


def forget_all(secrets: SecretStore, names: list[str]) -> list[KeyringUnusableError]:
    """Remove these secrets, each whatever happens to the others, and return what went wrong."""
    problems = []
    for name in names:
        try:
            secrets.delete(name)
        except KeyringUnusableError as problem:
            problems.append(problem)
    return problems


def _place(entry: SecretEntry) -> str:
    return _place_name(entry.place)


def _place_name(place: Place) -> str:
    return "the OS keyring" if place is Place.OS else "the file"


def _where(entry: SecretEntry, secrets: SecretStore) -> str:
    return entry.service if entry.place is Place.OS else str(secrets.path)


def _keyring_name(entry: SecretEntry) -> str | None:
    return entry.service if entry.place is Place.OS else None
