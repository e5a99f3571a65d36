"""The command reference, `docs/commands.md`, made from the commands themselves.

python -m meshproxy_cli.cli.reference > docs/commands.md
"""

import sys
from collections.abc import Iterator

import typer

from meshproxy_cli.cli.app import TREE
from meshproxy_cli.cli.lazy import CONTEXT, load
from meshproxy_cli.cli.tree import Command, Group

_WIDTH = 100
_HEAD = """# Commands

Made from the code by `python -m meshproxy_cli.cli.reference > docs/commands.md`. `meshproxy --help` shows the same on
the terminal, and [exit codes](exit-codes.md) are the same for all commands.
"""


def reference() -> str:
    """Return the page in Markdown: the list of commands, then for each its help, usage and options."""
    commands = list(_walk("meshproxy", TREE))
    rows = [f"| [{name}](#{name.replace(' ', '-')}) | {entry.help} |" for name, entry in commands]
    sections = [_section(name, entry) for name, entry in commands]
    return "\n".join([_HEAD, "| command | |", "| --- | --- |", *rows, "", "\n".join(sections)])


def _walk(name: str, group: Group) -> Iterator[tuple[str, Command]]:
    for child, entry in group.commands.items():
        if isinstance(entry, Group):
            yield from _walk(f"{name} {child}", entry)
        elif not entry.hidden:
            yield f"{name} {child}", entry


def _section(name: str, entry: Command) -> str:
    command = load(name.rpartition(" ")[2], entry)
    text = (command.help or "").strip()
    command.help, command.rich_markup_mode = None, None  # the rest of its help, as plain text
    usage = command.get_help(
        typer.Context(command, info_name=name, terminal_width=_WIDTH, help_option_names=CONTEXT["help_option_names"])
    )
    return f"## {name}\n\n{text}\n\n```text\n{usage.strip()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(reference())
