"""`meshproxy completion`: what makes the Tab key work in a shell."""

import os
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.shell import scripts
from meshproxy_cli.cli.shell.scripts import Shell
from meshproxy_cli.configedit.show import diff
from meshproxy_cli.errors import UsageError


def completion(
    shell: Annotated[
        Shell | None,
        typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell (default: the one in $SHELL)."),
    ] = None,
    install: Annotated[bool, typer.Option("--install", help="Install it for every new shell.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what --install did.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes as a diff; write nothing.")] = False,
    yes: options.Yes = False,
) -> None:
    """Print the script that makes Tab complete commands, options and values, or install it.

    Rooms, sessions, participants, models, keys, servers and agents are completed too, from what this machine and the
    server know; it never asks for a password, and gives up after a second.

    **Examples**

    - `meshproxy completion --install`
    - `meshproxy completion zsh --install --dry-run`
    - `eval "$(meshproxy completion bash)"`
    - `meshproxy completion fish | source`
    - `meshproxy completion powershell | Out-String | Invoke-Expression`
    - `meshproxy completion bash --undo`
    """
    if install and undo:
        raise UsageError("--install and --undo contradict each other")
    chosen = shell or scripts.shell_of(os.environ)
    if not install and not undo:
        output.verbatim(scripts.script(chosen).rstrip("\n"))
        return
    make = scripts.install if install else scripts.uninstall
    edits = make(chosen, context.paths(), os.environ)
    if not any(edit.changes for edit in edits):
        output.success(f"completion for {chosen} is {'installed' if install else 'not installed'}; nothing to change")
        return
    if dry_run:
        output.document(diff(edits).rstrip("\n"))
        return
    if not yes:
        output.preview(diff(edits))
    output.agree("Make these changes?", yes=yes)
    scripts.apply(edits)
    for edit in edits:
        if edit.changes:
            output.success(f"{'removed' if edit.after is None else 'wrote'} {edit.path}")
    if install:
        output.note(f"a new {chosen} completes `meshproxy`; take it back: meshproxy completion {chosen} --undo")
