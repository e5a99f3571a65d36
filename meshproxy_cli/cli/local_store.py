"""The store of this machine's Room Proxy, and who keeps its master key.

The master key comes from `MESHPROXY_MASTER_KEY`, from the file that `MESHPROXY_MASTER_KEY_FILE` names, or from this
user's secrets (`master-key`), in that order. Each may hold several, the one that encrypts first.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from meshproxy_cli.cli import context, output
from meshproxy_cli.errors import CredentialError
from meshproxy_cli.settings.references import resolve_reference
from meshproxy_cli.settings.secrets import SecretStore
from meshproxy_cli.store import open_store
from meshproxy_cli.store.vault import encode_master_keys, generate_master_key, parse_master_keys

if TYPE_CHECKING:
    from meshproxy_cli.store.sql import SqlStore

VARIABLE = "MESHPROXY_MASTER_KEY"
FILE_VARIABLE = "MESHPROXY_MASTER_KEY_FILE"
SECRET = "master-key"  # noqa: S105 (a name)


def open_local_store(database_url: str | None = None) -> "SqlStore":
    """Open the store (default: this user's SQLite database). Its master key is looked for, or made, once needed."""
    return open_store(database_url or f"sqlite:///{context.paths().database}", load_master_keys=load_master_keys)


def load_master_keys(current: str | None) -> Sequence[bytes]:
    """Return the master keys of this machine, as `store.vault.KeyLoader` wants them.

    Where there are none and the database is under none either (`current` is None), one is made and kept as a secret.
    Raise `CredentialError` where the database's master key is kept elsewhere.
    """
    keys = find_master_keys(os.environ, context.secrets())
    if keys:
        return keys
    if current is not None:
        raise CredentialError(
            f"The master key of this database (id {current}) is not on this machine.",
            hint=f"set {VARIABLE} to it, or {FILE_VARIABLE} to a file that holds it",
        )
    text = context.secrets().get_or_create(SECRET, lambda: encode_master_keys([generate_master_key()]))
    output.detail(f"signing secrets are encrypted under the master key in the secret {SECRET}")
    return parse_master_keys(text, source=f"the secret {SECRET}")


def find_master_keys(environ: Mapping[str, str], secrets: SecretStore) -> tuple[bytes, ...]:
    """Return the master keys that are there, the one that encrypts first; none is no error."""
    if text := environ.get(VARIABLE):
        return parse_master_keys(text, source=VARIABLE)
    if name := environ.get(FILE_VARIABLE):
        return parse_master_keys(resolve_reference(f"file:{name}", secrets, environ), source=name)
    text = secrets.get(SECRET)
    return () if text is None else parse_master_keys(text, source=f"the secret {SECRET}")
