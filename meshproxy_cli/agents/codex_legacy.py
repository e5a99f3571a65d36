"""Leftovers in Codex' `config.toml` that current releases refuse to start with, moved where they belong.

A `profile = "X"` key stops every start; a `[profiles.X]` table stops `--profile X` (seen with 0.169.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.provider_file import leaves
from meshproxy_cli.configedit.desired import DesiredFile, Format, Setting, Slot
from meshproxy_cli.configedit.files import Files
from meshproxy_cli.errors import ConflictError


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is to be taken out of `config.toml`, the profile files that get it, and how to tell a person."""

    removals: tuple[Setting, ...] = ()
    moved: tuple[DesiredFile, ...] = ()
    warnings: tuple[str, ...] = ()


def find_leftovers(home: Path, profile: str, files: Files) -> Leftovers:
    """Return what stops current releases from starting, or from using `profile`. Raises `ConflictError`."""
    values = files.values(home / "config.toml", Format.TOML)
    selected = values.get("profile")
    tables = values.get("profiles")
    removals: list[Setting] = []
    moved: list[DesiredFile] = []
    warnings: list[str] = []
    if selected is not None:
        removals.append(Setting(Slot(("profile",)), None, lasting=True))
        warnings.append(
            f'`profile = "{selected}"` in {home / "config.toml"} stops this Codex from starting: it is taken out; '
            f"use `codex --profile {selected}` for it"
        )
    for name in dict.fromkeys((profile, selected)):
        table = tables.get(name) if isinstance(tables, Mapping) else None
        if isinstance(name, str) and isinstance(table, Mapping) and table:
            desired = _moved(home, name, table, files)
            removals += [Setting(Slot(("profiles", name, *path)), None, lasting=True) for path, _ in leaves(table)]
            moved.append(desired)
            warnings.append(f"`[profiles.{name}]` stops this Codex from starting: it is moved to {desired.path.name}")
    return Leftovers(tuple(removals), tuple(moved), tuple(warnings))


def _moved(home: Path, name: str, table: Mapping[str, Any], files: Files) -> DesiredFile:
    path = home / f"{name}.config.toml"
    there = files.values(path, Format.TOML)
    for key, value in table.items():
        if there.get(key, value) != value:
            raise ConflictError(
                f"`{key}` of the profile {name} is in {home / 'config.toml'} and, with another value, in {path}; "
                "nothing was changed",
                hint=f"take `[profiles.{name}]` out of config.toml once {path.name} is as you want it",
            )
    return DesiredFile(
        path, Format.TOML, tuple(Setting(Slot(key), value, lasting=True) for key, value in leaves(table))
    )
