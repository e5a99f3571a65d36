"""Agents that take a provider from a JSON file: what they share. Each is then mostly data."""

import json
import shlex
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from meshproxy_cli.agents.base import TOKEN_VARIABLE, Credentials, Finding, Launch, Target, unsupported
from meshproxy_cli.agents.common_check import shared_findings
from meshproxy_cli.configedit.desired import DesiredConfig, DesiredFile, Format, Setting, Slot
from meshproxy_cli.configedit.formats.document import KeyPath
from meshproxy_cli.errors import UsageError


class ProviderFileAgent(ABC):
    """See `Agent`. A subclass names its file and returns the provider's entry in it."""

    name: ClassVar[str]
    title: ClassVar[str]
    program: ClassVar[str]
    install: ClassVar[str]
    container: ClassVar[KeyPath] = ("providers",)  # the table that holds providers by name
    needs_model: ClassVar[bool] = True
    runs_commands: ClassVar[bool] = True  # whether it can run a command for its token

    @abstractmethod
    def path(self, target: Target) -> Path:
        """Return the file."""

    @abstractmethod
    def provider(self, target: Target) -> Mapping[str, Any]:
        """Return the provider's entry."""

    @abstractmethod
    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        """Return how to run the agent once with nothing written."""

    @abstractmethod
    def try_it(self, target: Target) -> str:
        """Return the command line to go on with."""

    def defaults(self, target: Target) -> Mapping[KeyPath, Any]:
        """Return the keys that make the provider the agent's default."""
        raise unsupported(f"{self.title} ({target.room})", "--default")

    def desired_config(self, target: Target) -> DesiredConfig:
        self.require_usable(target)
        ours = self.container_of(target)
        settings = [Setting(Slot((*ours, *path)), value) for path, value in leaves(self.provider(target))]
        if target.make_default:
            settings += [Setting(Slot(path), value) for path, value in self.defaults(target).items()]
        desired = DesiredFile(self.path(target), Format.JSON, tuple(settings), (self.claim(target),))
        return DesiredConfig((desired,), self.notes(target), try_it=self.try_it(target))

    def container_of(self, target: Target) -> KeyPath:
        """Return the path of the provider's entry."""
        return (*self.container, target.profile)

    def claim(self, target: Target) -> KeyPath:
        """Return the key that is ours by name: an entry that somebody else wrote is not changed."""
        return self.container_of(target)

    def notes(self, target: Target) -> tuple[str, ...]:
        """Return what a person should know."""
        if self.runs_commands or target.credentials is Credentials.ENV:
            return ()
        token = f'{TOKEN_VARIABLE}="$(meshproxy token get --room {shlex.quote(target.room)})"'
        how = f"start it with `meshproxy launch {self.name}`, or set {token} first"
        return (f"{self.title} can't run a command for its token: {how}",)

    def check(self, target: Target) -> tuple[Finding, ...]:
        return tuple(shared_findings(self.program, self.install, target))

    def snippet(self, target: Target) -> str:
        self.require_usable(target)
        entry: Any = self.provider(target)
        for key in reversed(self.container_of(target)):
            entry = {key: entry}
        return json.dumps(entry, indent=2, ensure_ascii=False) + "\n"

    def require_usable(self, target: Target) -> None:
        """Raise `UsageError` for options that mean nothing here."""
        if not target.model:
            raise UsageError(f"{self.title} requires a model", hint="add --model NAME")
        if target.credentials is Credentials.INLINE:
            raise unsupported(self.title, "--credentials inline")
        for option, value in (
            ("--env-file", target.env_file),
            ("--project", target.project),
            ("--standalone", target.standalone),
        ):
            if value:
                raise unsupported(self.title, option)


def is_anthropic(target: Target) -> bool:
    """Whether the model is one that speaks Anthropic's protocol."""
    return "claude" in (target.model or "").lower()


def leaves(table: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Return every value that is not a table, with its path."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key), value
