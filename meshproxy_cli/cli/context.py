"""What this process works with: its paths, settings and secrets, told to a person in the one way."""

import os
import sys

from meshproxy_cli.cli import output
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.credentials import ACCESS_TOKEN_VARIABLE, API_KEY_VARIABLE
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import SecretStore, open_secrets
from meshproxy_cli.settings.servers import Settings, load_settings


def paths() -> Paths:
    """Return this user's directories."""
    return Paths.from_environment(os.environ)


def settings() -> Settings:
    """Return this user's settings, and warn of keys in the file that mean nothing."""
    loaded = load_settings(paths(), os.environ)
    if loaded.file.unknown:
        from meshproxy_cli.settings.schema import unknown_key  # noqa: PLC0415 (only for a message)

        for key in loaded.file.unknown:
            output.warn(f"{loaded.file.path}: {unknown_key(key)}")
    return loaded


def secrets() -> SecretStore:
    """Return this user's secrets; a fallback to the file is told on standard error."""
    return open_secrets(paths(), os.environ, warn=output.warn)


def read_secret(value: str | None, *, option: str) -> str:
    """Return a secret for an option: `-` reads standard input, and without a value a person is asked, with no echo.

    A secret as the option's value is refused: other users see it in the list of processes, and the shell keeps it.
    """
    if value is None:
        secret = output.ask_secret(option.removeprefix("--").replace("-", " "), hint=f"give it with: {option} - < FILE")
    elif value == "-":
        secret = output.read_secret_stdin()
    else:
        raise UsageError(
            f"{option} takes no secret on the command line, where others can see it; it was not used",
            hint=f"{option} - reads it from standard input; without {option} you are asked for it",
        )
    if not secret:
        raise UsageError(f"{option}: nothing was given")
    return secret


def read_secret_input(title: str, example: str) -> str:
    """Return a secret from standard input; a terminal asks for it without echo. `example` says how it is piped in."""
    if sys.stdin.isatty():
        return output.ask_secret(title, hint=f"pipe it in: {example}")
    text = output.read_secret_stdin()
    if not text:
        raise UsageError(f"there is no {title} on standard input", hint=f"such as: {example}")
    return text


def credential_variables() -> tuple[str, ...]:
    """Return the names of the variables in this environment that hold a credential."""
    names = (API_KEY_VARIABLE, ACCESS_TOKEN_VARIABLE)
    return tuple(name for name in names if os.environ.get(name))
