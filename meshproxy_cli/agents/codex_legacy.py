"""Leftovers in Codex' `config.toml` that current releases refuse to start with, moved where they belong.

A `profile = "X"` key stops every start; a `[profiles.X]` table stops `--profile X` (seen with 0.169.0).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import FileWish, Format, Setting, Slot
from meshproxy_cli.agents.provider_file import leaves
from meshproxy_cli.configedit import files
from meshproxy_cli.errors import ConflictError


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is to be taken out of `config.toml`, the profile files that get it, and how to tell a person."""

    removals: tuple[Setting, ...] = ()
    moved: tuple[FileWish, ...] = ()
    warnings: tuple[str, ...] = ()


def find_leftovers(home: Path, profile: str) -> Leftovers:
    """Return what stops current releases from starting, or from using `profile`. Raises `ConflictError`."""
    values = read_toml(home / "config.toml")
    selected = values.get("profile")
    tables = values.get("profiles")
    removals: list[Setting] = []
    moved: list[FileWish] = []
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
            wish = _moved(home, name, table)
            removals += [Setting(Slot(("profiles", name, *path)), None, lasting=True) for path, _ in leaves(table)]
            moved.append(wish)
            warnings.append(f"`[profiles.{name}]` stops this Codex from starting: it is moved to {wish.path.name}")
    return Leftovers(tuple(removals), tuple(moved), tuple(warnings))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file; an empty dict if it is missing or does not parse (the edit will tell)."""
    try:
        return tomllib.loads((files.read(path) or b"").decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _moved(home: Path, name: str, table: Mapping[str, Any]) -> FileWish:
    path = home / f"{name}.config.toml"
    there = read_toml(path)
    for key, value in table.items():
        if there.get(key, value) != value:
            raise ConflictError(
                f"`{key}` of the profile {name} is in {home / 'config.toml'} and, with another value, in {path}; "
                "nothing was changed",
                hint=f"take `[profiles.{name}]` out of config.toml once {path.name} is as you want it",
            )
    return FileWish(path, Format.TOML, tuple(Setting(Slot(key), value, lasting=True) for key, value in leaves(table)))
