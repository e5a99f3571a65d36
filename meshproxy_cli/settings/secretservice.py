"""Reading from the Secret Service (Linux) without the time that `keyring` takes to start.

`keyring` reaches the Secret Service through the library `secretstorage`; asking that directly finds the same items and
saves two thirds of the time, which matters to `token get`: agents call it every few minutes and wait for it. It never
prompts: a locked keyring is an error at once.
"""

import os
import sys
from contextlib import closing
from pathlib import Path

BACKEND = "keyring.backends.SecretService.Keyring"


class LockedItemError(Exception):
    """The item is there, and its keyring is locked."""


def usable(remembered: str | None) -> bool:
    """Whether the secrets lie there, and the user configured nothing for `keyring` that could say otherwise."""
    return sys.platform == "linux" and remembered == BACKEND and not _configured()


def read_item(service: str, account: str) -> str | None:
    """Return an item's value or None. Raises `LockedItemError` and secretstorage's errors."""
    import secretstorage  # noqa: PLC0415 (only where a secret lies there)

    with closing(secretstorage.dbus_init()) as connection:
        for item in secretstorage.search_items(connection, {"service": service, "username": account}):
            if item.is_locked():
                raise LockedItemError
            return str(item.get_secret(), "utf-8")
    return None


def _configured() -> bool:
    """Whether there is a variable or a file that `keyring` reads its configuration from."""
    if any(name == "PYTHON_KEYRING_BACKEND" or name.startswith("KEYRING_PROPERTY_") for name in os.environ):
        return True
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root, "python_keyring", "keyringrc.cfg").exists()
