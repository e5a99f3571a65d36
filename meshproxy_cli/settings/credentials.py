"""Which credential is used, and where it came from. The order is everywhere: command line, environment, keyring."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meshproxy_cli.errors import CredentialError, UsageError
from meshproxy_cli.settings.secrets import SecretStore

API_KEY_VARIABLE = "MESHAGENT_API_KEY"
ACCESS_TOKEN_VARIABLE = "MESHAGENT_TOKEN"  # noqa: S105 (a variable's name)


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret and, for `--verbose` and `doctor`, where it came from."""

    value: str = field(repr=False)
    source: str


def active_api_key(
    server: str, secrets: SecretStore, environ: Mapping[str, str], *, key_file: Path | None = None
) -> Credential:
    """Return the API key that signs tokens for the server of that name, as text.

    `key_file` comes from the command line ("-" is standard input). Raises `CredentialError` where there is none.
    """
    if key_file is not None:
        return Credential(_read_file(key_file), f"the file {key_file}")
    if value := environ.get(API_KEY_VARIABLE, "").strip():
        return Credential(value, f"the variable {API_KEY_VARIABLE}")
    if found := from_secrets(f"api-key/{server}", secrets):
        return found
    raise CredentialError(
        f"there is no API key for the server {server}",
        hint="make one: meshproxy api-key create NAME --activate; or keep one you have: meshproxy api-key import",
    )


def find_access_token(server: str, secrets: SecretStore, environ: Mapping[str, str]) -> Credential | None:
    """Return this user's access token for the server's REST API, or None."""
    if value := environ.get(ACCESS_TOKEN_VARIABLE, "").strip():
        return Credential(value, f"the variable {ACCESS_TOKEN_VARIABLE}")
    return from_secrets(f"access-token/{server}", secrets)


def find_room_token(server: str, room: str, secrets: SecretStore) -> Credential | None:
    """Return the participant token imported for a room, or None."""
    return from_secrets(f"token/{server}/{room}", secrets)


def from_secrets(name: str, secrets: SecretStore) -> Credential | None:
    """Return a kept secret with its place as source, or None."""
    value = secrets.get(name)
    return None if value is None else Credential(value, f"the secret {name}")


def _read_file(path: Path) -> str:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"the API key can't be read from {path}: {problem}") from None
    if not text.strip():
        raise UsageError(f"there is no API key in {path}: it is empty")
    return text.strip()
