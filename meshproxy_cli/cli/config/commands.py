"""`meshproxy config`: the settings file."""

import os
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.edit import allowed_keys, set_value
from meshproxy_cli.settings.origins import all_values


def show(
    origin: Annotated[bool, typer.Option("--origin", help="Say for each value where it comes from.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show the settings and where each comes from.

    **Examples**

    - `meshproxy config show --origin`
    - `meshproxy config show --json`
    """
    values = all_values(context.settings(), context.paths(), os.environ)
    if as_json:
        output.data({"settings": {value.key: {"value": value.value, "origin": value.origin} for value in values}})
    elif origin:
        columns = (output.Column("Key"), output.Column("Value"), output.Column("From", fold=True))
        output.table(columns, [(value.key, value.text, value.origin) for value in values])
    else:
        output.table((output.Column("Key"), output.Column("Value", fold=True)), [(v.key, v.text) for v in values])


def path(as_json: options.Json = False) -> None:
    """Print where the settings file lies.

    **Example**

    - `$EDITOR "$(meshproxy config path)"`
    """
    file = context.paths().settings_file
    if as_json:
        output.data({"path": str(file), "exists": file.exists()})
    else:
        output.text(str(file))


def set_(
    key: Annotated[str, typer.Argument(help=f"One of: {', '.join(allowed_keys())}.", autocompletion=names.settings)],
    value: Annotated[str | None, typer.Argument(help="The value; leave it out with --unset.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Remove the setting.")] = False,
) -> None:
    """Change one setting. Comments and order of the file stay.

    `room`, `session` and `project_id` alone mean those of the current server.

    **Examples**

    - `meshproxy config set room my-room`
    - `meshproxy config set servers.team.session "{agent}-{user}"`
    - `meshproxy config set room --unset`
    """
    if unset == (value is not None):
        raise UsageError("give a value, or --unset, and not both")
    if set_value(context.paths(), key, value):
        output.success(f"{key} is {value} now" if value is not None else f"{key} is unset now")
    else:
        output.note("nothing had to be changed")
