"""The command tree as data: what `app.py` lists and `lazy.py` builds."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `target` is "module:function" below `meshproxy_cli.cli`; `help` is its line in the group's list."""

    target: str
    help: str
    panel: str | None = None
    hidden: bool = False
    passes_arguments: bool = False  # whatever stands after `--` is handed on as it is


@dataclass(frozen=True, slots=True)
class Group:
    """A group of commands."""

    commands: Mapping[str, "Command | Group"]
    help: str
    panel: str | None = None
    default: str | None = None  # the command that runs where none is named


Tree = Mapping[str, Command | Group]
