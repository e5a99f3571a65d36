"""The store of this machine's Room Proxy, and the making of its master key (see `settings.masterkeys`)."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshproxy_cli.cli import context, output
from meshproxy_cli.errors import CredentialError
from meshproxy_cli.settings.masterkeys import FILE_VARIABLE, SECRET, VARIABLE, find_master_key_text
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine.vault import encode_master_keys, generate_master_key, parse_master_keys

if TYPE_CHECKING:
    from meshproxy_cli.store.store import Store


def open_local_store(database_url: str | None = None) -> "Store":
    """Open the store (default: this user's SQLite database). Its master key is looked for, or made, once needed."""
    return open_store(database_url or f"sqlite:///{context.paths().database}", load_master_keys=load_master_keys)


def load_master_keys(current: str | None) -> Sequence[bytes]:
    """Return the master keys of this machine, as `store.engine.vault.KeyLoader` wants them.

    Where there are none and the database is under none either (`current` is None), one is made and kept as a secret.
    Raise `CredentialError` where the database's master key is kept elsewhere.
    """
    keys = find_master_keys()
    if keys:
        return keys
    if current is not None:
        raise CredentialError(
            f"The master key of this database (id {current}) is not on this machine.",
            hint=f"set {VARIABLE} to it, or {FILE_VARIABLE} to a file that holds it",
        )
    made = generate_master_key()
    place = context.secrets().set(SECRET, encode_master_keys([made]))
    output.detail(f"made a master key for signing secrets; it is kept in: {place}")
    return (made,)


def find_master_keys() -> tuple[bytes, ...]:
    """Return the master keys that are there, the newest first; none is no error."""
    found = find_master_key_text(os.environ, context.secrets)
    return () if found is None else parse_master_keys(found.text, source=found.source)
