"""The errors that reach a person, and the exit codes that scripts see.

    MeshproxyError            1  something did not work
    ├── UsageError            2  the command line or an input file is wrong
    ├── CredentialError       3  no usable key or token, or it was refused
    ├── UnavailableError      4  a server, provider or keyring is out of reach
    ├── ConflictError         5  somebody else's change or value is in the way
    └── NotFoundError         6  the thing that was named does not exist

A module raises one of these (or its own subclass); `cli.output` is the one place that turns them into text.
Messages never hold a secret.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process exits with; documented in `docs/exit-codes.md`."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CREDENTIAL = 3
    UNAVAILABLE = 4
    CONFLICT = 5
    NOT_FOUND = 6
    INTERRUPTED = 130


class MeshproxyError(Exception):
    """An error with a message for a person: what happened and why, and as `hint` what to do about it.

    A message is one line. An error with several has the others in `details`, so that no text from outside can pass for
    one of them; `message` then is all of them.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILURE

    def __init__(self, message: str, *, details: Sequence[str] = (), hint: str | None = None) -> None:
        self.lines = (message, *details)
        self.message = "\n".join(self.lines)
        super().__init__(self.message)
        self.hint = hint


class UsageError(MeshproxyError):
    """The command line or an input file is wrong; nothing was done."""

    exit_code = ExitCode.USAGE


class CredentialError(MeshproxyError):
    """No usable key or token, or the other side refused it."""

    exit_code = ExitCode.CREDENTIAL


class UnavailableError(MeshproxyError):
    """A server, a provider or a keyring is out of reach."""

    exit_code = ExitCode.UNAVAILABLE


class ConflictError(MeshproxyError):
    """Somebody else's change or value is in the way; nothing was overwritten."""

    exit_code = ExitCode.CONFLICT


class NotFoundError(MeshproxyError):
    """The thing that was named does not exist."""

    exit_code = ExitCode.NOT_FOUND
