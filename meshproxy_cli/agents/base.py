"""What every agent module speaks in: the target it is to reach, the machine it runs on, and what it asks for.

An agent module is pure: it reads the machine it is handed and returns wishes. `plan.py` turns wishes into edits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit.formats.document import KeyPath, Value
from meshproxy_cli.errors import UsageError

SESSION_HEADER = "Meshagent-Session"
TOKEN_VARIABLE = "MESHAGENT_ROOM_TOKEN"  # noqa: S105 (the name of a variable)
DEFAULT_PROFILE = "meshproxy"
DIRECTORY = "{directory}"


class Credentials(StrEnum):
    """How an agent comes to its participant token."""

    HELPER = "helper"  # it runs `meshproxy token get`
    ENV = "env"  # it reads MESHAGENT_ROOM_TOKEN
    INLINE = "inline"  # the token itself, in a .env file of mode 0600


class Format(StrEnum):
    """The formats that can be edited."""

    TOML = "toml"
    JSON = "json"
    BLOCK = "block"
    YAML_BLOCK = "yaml-block"


@dataclass(frozen=True, slots=True)
class Target:
    """What an agent is to be connected to, and how.

    `helper` is the command line that prints a token; `server` is the server's name, `server_url` has no slash at its
    end. `token` is set only where `credentials` is inline.
    """

    room: str
    server: str
    server_url: str
    session: str
    helper: tuple[str, ...]
    machine: Machine
    model: str | None = None
    profile: str = DEFAULT_PROFILE
    credentials: Credentials = Credentials.HELPER
    make_default: bool = False
    standalone: bool = False
    project: Path | None = None
    env_file: Path | None = None
    token: str | None = None

    @property
    def scope(self) -> str:
        """Whose settings are meant: the user's, one project's, or a `.env` file's."""
        if self.env_file is not None:
            return "env-file"
        return "user" if self.project is None else "project"

    @property
    def openai_url(self) -> str:
        """The room's OpenAI-compatible base URL."""
        return f"{self.server_url}/rooms/{quote(self.room, safe='')}/openai/v1"

    @property
    def anthropic_url(self) -> str:
        """The room's Anthropic-compatible base URL."""
        return f"{self.server_url}/rooms/{quote(self.room, safe='')}/anthropic"


@dataclass(frozen=True, slots=True)
class Slot:
    """A key that we own: its path, or one `header` of the "Name: value" lines that the string there holds."""

    path: KeyPath
    header: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """A slot and what it shall hold; None takes the key away.

    A `lasting` one was needed once (a leftover that is moved) and stays as it is when the agent is configured again.
    """

    slot: Slot
    value: Value | None
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class FileWish:
    """What one file shall hold.

    `claims` are tables that are ours by name: where somebody else has one, the edit is refused. `mode` is for a file
    that is new, and is forced on an existing one if `private`.
    """

    path: Path
    format: Format
    settings: tuple[Setting, ...]
    claims: tuple[KeyPath, ...] = ()
    mode: int = 0o600
    private: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """All that an agent needs, and what the person should know (`notes`) or look at (`warnings`)."""

    files: tuple[FileWish, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    try_it: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """One run: the program with its arguments, variables to set, and variables to take away.

    `token_variables` get a token just before the run; secrets stand in no argument. An agent that takes its settings
    from a file only gets `files` (name to text) in a private directory that is gone after the run; `DIRECTORY` in
    arguments and variables stands for it.
    """

    arguments: tuple[str, ...]
    environ: Mapping[str, str]
    remove: tuple[str, ...] = ()
    token_variables: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that keeps the agent from using what was configured, and what to do about it.

    `path` is the file that is in the way; a `managed` one is not this user's to change.
    """

    problem: str
    remedy: str
    path: Path | None = None
    managed: bool = False


class Agent(Protocol):
    """One coding agent: `name` is what a person types, `title` what it is called, `program` its executable.

    `needs_model`: it has no model of its own and has to be told one. `runs_commands`: it can run a command for its
    token.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def program(self) -> str: ...

    @property
    def needs_model(self) -> bool: ...

    @property
    def runs_commands(self) -> bool: ...

    def wish(self, target: Target) -> Wish:
        """Return what the agent's files shall hold."""

    def check(self, target: Target) -> tuple[Finding, ...]:
        """Return what on this machine wins over what was configured."""

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        """Return how to run the agent once with nothing written."""

    def snippet(self, target: Target) -> str:
        """Return what a person would paste to configure the agent by hand."""


def unsupported(agent: str, option: str) -> UsageError:
    """Return the error for an option that means nothing for an agent."""
    return UsageError(f"{agent} has no use for {option}", hint=f"leave {option} out")
