"""Keeps API keys among this user's secrets: the active one of each server, and those that were active before.

The active key is the secret `api-key/<server>`. One that another takes the place of is not lost, since no server shows
a key twice: it stays as `api-key/<server>/<key id>`.
"""

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.settings.secrets import SecretStore
from meshproxy_cli.tokens.apikey import ApiKey, ApiKeyError


class KeyRing:
    """The API keys that this machine keeps for one server."""

    def __init__(self, secrets: SecretStore, server: str) -> None:
        self._secrets = secrets
        self._active = f"api-key/{server}"

    def active(self) -> ApiKey | None:
        """Return the key that signs tokens; a kept text that is no key counts as none."""
        text = self._secrets.get(self._active)
        try:
            return None if text is None else ApiKey.parse(text)
        except ApiKeyError:
            return None

    def kept_ids(self) -> tuple[str, ...]:
        """Return the ids of the keys that were active before."""
        prefix = f"{self._active}/"
        return tuple(
            entry.name.removeprefix(prefix) for entry in self._secrets.names() if entry.name.startswith(prefix)
        )

    def keep(self, key: ApiKey) -> None:
        """Keep a key without making it the active one."""
        self._secrets.set(self._name(key.id), key.encode())

    def use(self, key: ApiKey) -> None:
        """Make a key the active one; the one before it stays kept."""
        before = self.active()
        if before is not None and before.id != key.id:
            self.keep(before)
        self._secrets.set(self._active, key.encode())
        self._secrets.delete(self._name(key.id))

    def use_kept(self, key_id: str) -> ApiKey:
        """Make a kept key the active one and return it; raise `NotFoundError` where its secret is not here."""
        active = self.active()
        if active is not None and active.id == key_id:
            return active
        text = self._secrets.get(self._name(key_id))
        if text is None:
            raise NotFoundError(
                f"the API key {key_id} is not kept on this machine, and no server shows a key twice",
                hint="keep it with `meshproxy api-key import`, or make one: meshproxy api-key create NAME --activate",
            )
        key = ApiKey.parse(text)
        self.use(key)
        return key

    def forget(self, key_id: str) -> bool:
        """Remove a key from this machine; return whether it was here."""
        active = self.active()
        was_active = active is not None and active.id == key_id and self._secrets.delete(self._active)
        return self._secrets.delete(self._name(key_id)) or was_active

    def _name(self, key_id: str) -> str:
        return f"{self._active}/{key_id}"
