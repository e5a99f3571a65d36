"""How Codex keeps profiles, by release."""

from enum import Enum

from meshproxy_cli.agents.machine import Machine, Version
from meshproxy_cli.errors import ConflictError

OLDEST: Version = (0, 129, 0)
PROFILE_FILES: Version = (0, 134, 0)


class ProfileForm(Enum):
    """Where the installed release looks for a profile."""

    FILE = "file"  # $CODEX_HOME/<profile>.config.toml
    TABLE = "table"  # [profiles.<profile>] in config.toml


class CodexTooOldError(ConflictError):
    """The installed Codex is not safe to configure."""


def profile_form(machine: Machine, program: str) -> ProfileForm:
    """Ask the installed Codex; without one, or without an answer, the form of current releases.

    Raises `CodexTooOldError` below 0.129.0.
    """
    # Asked with its own home, Codex would write helper links there; a dry run has to leave everything alone.
    return form_of(machine.version(program, CODEX_HOME="/nonexistent/meshproxy"))


def form_of(version: Version | None) -> ProfileForm:
    """Return where a release looks for a profile, an unknown one as current releases do.

    Raises `CodexTooOldError` below 0.129.0.
    """
    if version is None or version >= PROFILE_FILES:
        return ProfileForm.FILE
    if version < OLDEST:
        shown = ".".join(str(part) for part in version)
        raise CodexTooOldError(
            f"Codex {shown} is installed; in releases before 0.129.0 a repository's own .codex/config.toml could send "
            "requests, and your token with them, elsewhere",
            hint="update it: npm install -g @openai/codex",
        )
    return ProfileForm.TABLE
