"""Typer groups whose commands are imported when they run, so that each command pays for its own imports only."""

import importlib
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import typer
import typer.core
import typer.main

from meshproxy_cli.cli import output
from meshproxy_cli.cli.tree import Command, Group, Tree

_METAVARS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "path": "FILE"}
CONTEXT = {"help_option_names": ["-h", "--help"]}


class LazyGroup(typer.core.TyperGroup):
    """Holds placeholders, which serve for lists and suggestions, until a command is resolved."""

    tree: Tree = MappingProxyType({})
    default: str | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 (Typer's own types are private)
        names_none = not args or (args[0].startswith("-") and args[0] not in CONTEXT["help_option_names"])
        if self.default is not None and names_none and not (ctx.resilient_parsing and not args):
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:  # noqa: ANN401 (Typer's own types are private)
        if self.default is not None and incomplete.startswith("-"):
            return list(load(self.default, self.tree[self.default]).shell_complete(ctx, incomplete))
        return super().shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 (Typer's own types are private)
        if args[0] not in self.tree and not ctx.resilient_parsing:
            from meshproxy_cli.cli.mistakes import unknown_command  # noqa: PLC0415 (for the message only)

            raise unknown_command(ctx.command_path, args[0], self.tree, ctx.find_root().command.tree)
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.tree:
            command = load(name, self.tree[name])
            self.commands[name] = command
        return name, command, rest


def load(name: str, entry: Command | Group) -> Any:  # noqa: ANN401 (Typer's own types are private)
    """Import what `entry` names and return it as a command that Typer can run."""
    if isinstance(entry, Group):
        return build(name, entry)
    module, _, function = entry.target.partition(":")
    target = getattr(importlib.import_module(f"meshproxy_cli.cli.{module}"), function)
    context: dict[str, Any] = dict(CONTEXT)
    if entry.passes_arguments:
        context |= {"allow_extra_args": True, "ignore_unknown_options": True}
    command = _single(name, target, context)
    for parameter in command.params:
        parameter.metavar = parameter.metavar or _metavar(parameter)
    command.params.extend(_common_parameters())
    return command


def build(name: str, group: Group, callback: Callable[..., None] | None = None) -> LazyGroup:
    """Return the Typer group for `group`; nothing of its commands is imported."""
    app = typer.Typer(
        cls=LazyGroup,
        name=name,
        help=group.help,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
    )
    app.callback(context_settings=CONTEXT)(callback or _nothing)
    made = typer.main.get_command(app)
    if not isinstance(made, LazyGroup):
        raise TypeError(name)
    made.tree = group.commands
    made.default = group.default
    made.help = group.help
    if callback is not None:
        made.params.extend(_common_parameters())
    for child, entry in group.commands.items():
        made.commands[child] = _placeholder(child, entry)
    return made


def _metavar(parameter: Any) -> str | None:  # noqa: ANN401 (Typer's own types are private)
    """Return what stands for a value in help, where the command names nothing better: Typer has `<int range>`."""
    if getattr(parameter, "is_flag", False) or getattr(parameter.type, "choices", None):
        return None  # there is no value, or all are listed
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return _METAVARS.get(str(parameter.type.name).partition(" ")[0])


def _placeholder(name: str, entry: Command | Group) -> typer.core.TyperCommand:
    hidden = isinstance(entry, Command) and entry.hidden
    return typer.core.TyperCommand(name, help=entry.help, hidden=hidden, rich_help_panel=entry.panel)


def _nothing() -> None:
    """Stand in for the callback that Typer needs to make a group."""


def _single(name: str, function: Callable[..., Any], context: dict[str, Any]) -> Any:  # noqa: ANN401
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command(name=name, context_settings=context)(function)
    return typer.main.get_command(app)


def _common_parameters() -> list[Any]:
    """Options that every command takes: they set up the terminal and never reach the command's function."""
    parameters = _single("common", output.set_up, {}).params
    for parameter in parameters:
        parameter.expose_value = False
        parameter.rich_help_panel = "Output"
    return [parameter for parameter in parameters if parameter.name != "help"]
