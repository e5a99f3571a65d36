"""What every agent module speaks in: the target it is to reach, the machine it runs on, and what it asks for.

An agent module is pure: it reads the machine it is handed and returns the desired content of files, which
`configedit` turns into edits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit.desired import DesiredConfig
from meshproxy_cli.configedit.files import Files
from meshproxy_cli.configedit.receipts import Request
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


@dataclass(frozen=True, slots=True)
class Target:
    """What an agent is to be connected to, and how.

    `helper` is the command line that prints a token; `server` is the server's name, `server_url` has no slash at its
    end. `token` is set only if `credentials` is inline. `files` are the files of this run, each read and parsed once.
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
    files: Files = field(default_factory=Files, compare=False, repr=False)

    def request(self, agent: str) -> Request:
        """Return what the receipt keeps of this target."""
        return Request(
            agent=agent,
            profile=self.profile,
            room=self.room,
            server=self.server,
            server_url=self.server_url,
            session=self.session,
            credentials=str(self.credentials),
            model=self.model,
            scope=self.scope,
            make_default=self.make_default,
            standalone=self.standalone,
        )

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

    `needs_model`: it has no default model, so that one must be given. `runs_commands`: it can run a command for its
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

    def desired_config(self, target: Target) -> DesiredConfig:
        """Return the desired content of the agent's files."""

    def check(self, target: Target) -> tuple[Finding, ...]:
        """Return what on this machine wins over what was configured."""

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        """Return how to run the agent once with nothing written."""

    def snippet(self, target: Target) -> str:
        """Return what a person would paste to configure the agent by hand."""


def unsupported(agent: str, option: str) -> UsageError:
    """Return the error for an option that an agent does not support."""
    return UsageError(f"{agent} does not support {option}", hint=f"leave {option} out")
