"""`meshproxy env`: variables for any OpenAI- or Anthropic-compatible program."""

import os
from pathlib import PurePath
from typing import Annotated

import typer

from meshproxy_cli.agents.base import TOKEN_VARIABLE
from meshproxy_cli.agents.environment import secret_variables
from meshproxy_cli.agents.variables import ACCOUNT_VARIABLES, Shell, render, room_variables
from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.agent.fresh_token import fresh_token
from meshproxy_cli.cli.agent.targets import Choice, make_target
from meshproxy_cli.cli.completion import names


def env(
    *,
    room: Annotated[str | None, options.room("The room to use.")] = None,
    server: options.Server = None,
    session: Annotated[str | None, options.session("The name under which usage is grouped.")] = None,
    model: Annotated[str | None, options.model("The model that Claude Code asks for.")] = None,
    shell: Annotated[
        Shell | None, typer.Option(help="Who reads the lines (default: the shell in $SHELL, else bash).")
    ] = None,
    expires_in: Annotated[
        str,
        typer.Option("--expires-in", metavar="TIME", help="How long the token lives.", autocompletion=names.lifetimes),
    ] = "1h",
    as_json: options.Json = False,
) -> None:
    """Print variables for any OpenAI- or Anthropic-compatible program, quoted for a shell.

    Variables that name an account of OpenAI's (OPENAI_ORG_ID, OPENAI_PROJECT_ID and the like) are taken away.

    The token in them is a secret that lives one hour; `meshproxy launch` and `configure` need none in the environment.
    Keys that are set in this shell (`MESHAGENT_API_KEY`, the server's own) are unset: the program needs none of them.

    **Examples**

    - `eval "$(meshproxy env --room my-room)"`
    - `meshproxy env --room my-room --shell fish | source`
    - `meshproxy env --room my-room --shell powershell | Out-String | Invoke-Expression`
    - `meshproxy env --room my-room --shell dotenv > .env`
    """
    target = make_target("env", Choice(room=room, server=server, session=session, model=model))
    token = fresh_token(target, expires_in)
    variables = room_variables(target, token)
    # The program gets the token; what could make others stays with whoever starts it.
    kept = {TOKEN_VARIABLE, *(variable.name for variable in variables)}
    secret = secret_variables(os.environ, context.paths().server_file) - kept
    unset = (*ACCOUNT_VARIABLES, *sorted(name for name in secret if name.isascii() and name.isidentifier()))
    if as_json:
        output.data({"variables": {variable.name: variable.value for variable in variables}, "unset": list(unset)})
    else:
        output.verbatim(render(variables, shell or _current_shell(), unset=unset).rstrip("\n"))


def _current_shell() -> Shell:
    name = PurePath(os.environ.get("SHELL", "")).name
    return Shell(name) if name in {"zsh", "fish"} else Shell.BASH
