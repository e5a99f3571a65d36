"""Where the master key lies that encrypts signing secrets in the server's database.

`MESHPROXY_MASTER_KEY`, else the file that `MESHPROXY_MASTER_KEY_FILE` names, else this user's secret `master-key`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from meshproxy_cli.settings.references import resolve_reference
from meshproxy_cli.settings.secrets import SecretStore

VARIABLE = "MESHPROXY_MASTER_KEY"
FILE_VARIABLE = "MESHPROXY_MASTER_KEY_FILE"
SECRET = "master-key"  # noqa: S105 (a name)


@dataclass(frozen=True, slots=True)
class MasterKeyText:
    """One or several keys as text, as `store.engine.vault.parse_master_keys` reads them, and where they come from."""

    text: str = field(repr=False)
    source: str


def find_master_key_text(environ: Mapping[str, str], secrets: Callable[[], SecretStore]) -> MasterKeyText | None:
    """Return what is there, or None; raise `CredentialError` where the file can't be read. Opens secrets last."""
    if text := environ.get(VARIABLE):
        return MasterKeyText(text, VARIABLE)
    if name := environ.get(FILE_VARIABLE):
        return MasterKeyText(resolve_reference(f"file:{name}", secrets(), environ), name)
    kept = secrets().get(SECRET)
    return None if kept is None else MasterKeyText(kept, f"the secret {SECRET}")
