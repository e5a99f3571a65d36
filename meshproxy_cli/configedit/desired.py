"""What files should contain: the input of the editor, as data."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from meshproxy_cli.configedit.formats.document import KeyPath, Value


class Format(StrEnum):
    """The formats that can be edited."""

    TOML = "toml"
    JSON = "json"
    BLOCK = "block"
    YAML_BLOCK = "yaml-block"


@dataclass(frozen=True, slots=True)
class Slot:
    """A key that we own: its path, or one `header` of the "Name: value" lines in the string there."""

    path: KeyPath
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A slot and its desired value; None removes the key.

    A `lasting` one was needed once (a leftover that is moved) and stays as it is when the agent is configured again.
    """

    slot: Slot
    value: Value | None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class DesiredFile:
    """The desired content of one file.

    `claims` are tables that are ours by name: if somebody else wrote one, the edit is refused. `mode` is for a new
    file, and is forced on an existing one if `private`.
    """

    path: Path
    format: Format
    settings: tuple[Setting, ...]
    claims: tuple[KeyPath, ...] = ()
    mode: int = 0o600
    private: bool = False


@dataclass(frozen=True, slots=True)
class DesiredConfig:
    """All files that a program needs, and what the user should know (`notes`) or check (`warnings`)."""

    files: tuple[DesiredFile, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try_it: str = ""
