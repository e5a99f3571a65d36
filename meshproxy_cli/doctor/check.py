"""What a check is, and what it says."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import TOKEN_VARIABLE
from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor.scene import DoctorContext


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"  # works, and is likely to surprise
    FAILED = "failed"
    UNKNOWN = "unknown"  # it could not be checked


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a check found. `remedy` is a shell command that mends it, `advice` stands where no command can.

    `safe`: the command changes nothing but what is ours, and `--fix` may run it.
    """

    status: Status
    found: str
    remedy: str = ""
    advice: str = ""
    safe: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `after` names those that have to be well for it to mean anything.

    With `each` it is made for every agent that was configured here, or for the one named by `only`; `live` ones send a
    request to the provider.
    """

    id: str
    title: str
    run: Callable[[DoctorContext], Outcome] | Callable[[DoctorContext, Receipt], Outcome]
    after: tuple[str, ...] = ()
    each: bool = False
    only: str = ""
    network: bool = False
    live: bool = False


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's outcome, with its id, title and the milliseconds that it took."""

    id: str
    title: str
    outcome: Outcome
    duration_ms: int = 0
    consequence_of: str = field(default="")

    @property
    def status(self) -> Status:
        """How it came out."""
        return self.outcome.status

    def as_json(self) -> Mapping[str, Any]:
        """Return it as `doctor --json` prints it."""
        one = self.outcome
        return {
            "id": self.id,
            "title": self.title,
            "status": one.status.value,
            "found": one.found,
            "remedy": one.remedy or None,
            "advice": one.advice or None,
            "safe": one.safe,
            "consequence_of": self.consequence_of or None,
            "duration_ms": self.duration_ms,
        }


def good(found: str) -> Outcome:
    """Return the outcome where all is well."""
    return Outcome(Status.OK, found)


def bad(found: str, remedy: str = "", *, advice: str = "", safe: bool = False) -> Outcome:
    """Return the outcome where something is broken."""
    return Outcome(Status.FAILED, found, remedy, advice, safe)


def doubtful(found: str, remedy: str = "", *, advice: str = "", safe: bool = False) -> Outcome:
    """Return the outcome where something is likely to surprise."""
    return Outcome(Status.WARNING, found, remedy, advice, safe)


def unknown(found: str, remedy: str = "", *, advice: str = "") -> Outcome:
    """Return the outcome where it could not be checked."""
    return Outcome(Status.UNKNOWN, found, remedy, advice)


def quoted(word: str | Path) -> str:
    """Return a word of a remedy as a shell reads it."""
    return shlex.quote(str(word))


def fresh_variable(room: str, for_server: str = "") -> str:
    """Return the command that sets the variable which agents without a token command read."""
    return f'export {TOKEN_VARIABLE}="$(meshproxy token get --room {quoted(room)}{for_server})"'


def again(receipt: Receipt, *more: str) -> str:
    """Return the command that configures the agent as it was, with `more` options; a project's is run in its place."""
    words = ["meshproxy", "configure", receipt.agent, "--room", receipt.room, "--server", receipt.server]
    if receipt.model:
        words += ["--model", receipt.model]
    words += ["--profile", receipt.profile, "--session", receipt.session, "--credentials", receipt.credentials]
    if receipt.scope == "env-file":
        words += ["--env-file", receipt.place]
    words += ["--default"] * receipt.make_default + ["--standalone"] * receipt.standalone
    if receipt.scope == "project":
        words += ["--project"]
    command = " ".join(map(quoted, [*words, *more, "--yes"]))
    project = project_of(receipt)
    return command if project is None else f"cd {quoted(project)} && {command}"


def project_of(receipt: Receipt) -> Path | None:
    """Return the directory of the project that was configured; None where it was no project."""
    return Path(receipt.place).parent.parent if receipt.scope == "project" else None
