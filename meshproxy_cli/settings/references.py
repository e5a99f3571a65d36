"""References to secrets in configuration files: `env:NAME`, `keyring:NAME`, `file:PATH`; never the secret itself."""

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from meshproxy_cli.errors import CredentialError, UsageError
from meshproxy_cli.settings.secrets import SecretStore

_KINDS = ("env", "keyring", "file")
_ROOT = 0
_OF_OTHERS = 0o077
_OF_STRANGERS = 0o037


class SecretReferenceError(UsageError):
    """What stands where a reference belongs is none. The message does not quote it: it may be a key."""


def is_reference(text: str) -> bool:
    """Whether `text` has the form of a reference."""
    kind, _, name = text.partition(":")
    return kind in _KINDS and bool(name)


def check_reference(reference: str, what: str = "the key") -> tuple[str, str]:
    """Return a reference's kind and name without following it. Raises `SecretReferenceError`."""
    if not is_reference(reference):
        raise SecretReferenceError(
            f"{what} is written out, and a configuration file holds references only: move it to the keyring with "
            "`meshproxy provider add PROTOCOL --name NAME --api-key -`, or write env:NAME or file:PATH in its place",
            hint="since it was in a plain file, replace the key at its provider, too",
        )
    kind, _, name = reference.partition(":")
    return kind, name


def resolve_reference(reference: str, secrets: SecretStore, environ: Mapping[str, str]) -> str:
    """Return the secret that a reference names.

    Raises `SecretReferenceError`, or `CredentialError` where the reference leads nowhere.
    """
    kind, name = check_reference(reference)
    follow: dict[str, Callable[[str], str | None]] = {"env": environ.get, "keyring": secrets.get, "file": _read}
    value = (follow[kind](name) or "").strip()
    if not value:
        raise CredentialError(f"{reference} leads to nothing", hint=_HINTS[kind])
    return value


_HINTS = {
    "env": "set that variable where the server starts",
    "keyring": "`meshproxy secret list` shows what is kept; add it: meshproxy provider add NAME --api-key -",
    "file": "write the key into that file",
}


def exposed(mode: int, owner: int, user: int) -> bool:
    """Whether a file of that mode and owner shows its secret to others than `user`; both are numeric user ids.

    A file of root's may be open to a group. That is how a service is handed a secret: systemd's credentials have an
    ACL, which shows as the group's mode, and Kubernetes' secrets belong to the group of the one pod.
    """
    handed_over = owner == _ROOT != user
    return bool(mode & (_OF_STRANGERS if handed_over else _OF_OTHERS))


def _read(name: str) -> str | None:
    path = Path(name).expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            mode = status.st_mode
            if os.name != "nt" and exposed(mode, status.st_uid, os.geteuid()):
                raise CredentialError(
                    f"{path} holds a key and others can read it (mode {stat.S_IMODE(mode):04o})",
                    hint=f"chmod 600 {path}",
                )
            return file.read()
    except (OSError, UnicodeDecodeError) as problem:
        raise CredentialError(f"{path} can't be read: {problem}") from None
