"""`meshproxy database`: the upkeep of the server's database."""

import os

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.local_store import find_master_keys, load_master_keys, open_local_store
from meshproxy_cli.client.local import this_user
from meshproxy_cli.configedit.atomic import locked
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.masterkeys import FILE_VARIABLE, SECRET, VARIABLE
from meshproxy_cli.store.engine.vault import encode_master_keys, generate_master_key, master_key_id

_PATIENCE_S = 60.0


def migrate(*, database_url: options.Database = None) -> None:
    """Make the database, or bring it to this version's schema. `serve` does so itself when it starts.

    However many do it at once, each migration runs once, in a transaction.

    **Examples**

    - `meshproxy database migrate`
    - `meshproxy database migrate --database-url postgresql://db/meshproxy`
    """
    with output.progress("bringing the database to this version's schema"):
        store = open_local_store(database_url)
    shown = store.session.database.url.render_as_string(hide_password=True)
    store.close()
    output.success(f"{shown} has this version's schema")


def rotate_master_key(*, database_url: options.Database = None) -> None:
    """Encrypt the signing secrets in the database with a new master key. Servers that run go on.

    A master key among this user's secrets is replaced by a new one. One in MESHPROXY_MASTER_KEY (or in the file that
    MESHPROXY_MASTER_KEY_FILE names) you replace yourself: set it to `NEW,OLD` for every server first, run this, and
    take the old one away.

    **Examples**

    - `meshproxy database rotate-master-key`
    - `MESHPROXY_MASTER_KEY="$NEW,$OLD" meshproxy database rotate-master-key --database-url postgresql://db/meshproxy`
    """
    # Of two at once one would keep its own new key, after the other has moved the database to its own.
    with locked(context.paths().state_dir / "rotate-master-key", timeout_s=_PATIENCE_S):
        _rotate(database_url)


def _rotate(database_url: str | None) -> None:
    given = os.environ.get(VARIABLE) or os.environ.get(FILE_VARIABLE)
    if given:
        _check_both_are_given()
    else:
        _put_new_key_first()
    store = open_local_store(database_url).acting_as(this_user())
    try:
        with output.progress("encrypting signing secrets with the new master key"):
            count = store.keys.rotate_master_key()
    finally:
        store.close()
    newest, *old = find_master_keys()
    if not given and old:
        context.secrets().set(SECRET, encode_master_keys([newest]))
    output.success(f"{count} signing secret{'s' if count != 1 else ''} moved to the master key {master_key_id(newest)}")
    if given:
        output.note(f"the old key can be taken out of {VARIABLE if os.environ.get(VARIABLE) else 'the file'} now")


def _check_both_are_given() -> None:
    if len(find_master_keys()) < 2:  # noqa: PLR2004 (the new one and the old one)
        raise UsageError(
            "only one master key is given, so there is nothing to move to",
            hint=f"set {VARIABLE} to NEW,OLD: 32 random bytes in URL-safe base64 each",
        )


def _put_new_key_first() -> None:
    """Keep the new key beside the old one before anything is encrypted with it: a crash then loses neither."""
    known = find_master_keys() or tuple(load_master_keys(None))
    context.secrets().set(SECRET, encode_master_keys([generate_master_key(), *known]))
