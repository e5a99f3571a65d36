"""Reading from the Secret Service (Linux) without the time that `keyring` takes to start.

`keyring` gets there through `secretstorage`, `cryptography` and `jeepney`, the D-Bus library. Asking with `jeepney`
alone finds the same items in a fifth of the time, which matters to `token get`: agents call it every few minutes and
wait. It never prompts. The secret crosses the user's own bus in the specification's "plain" form: whoever could listen
there is this user, who could as well ask for it. https://specifications.freedesktop.org/secret-service-spec/latest/
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jeepney.io.blocking import DBusConnection

BACKEND = "keyring.backends.SecretService.Keyring"
_NAME = "org.freedesktop.secrets"
_PATH = "/org/freedesktop/secrets"


class LockedItemError(Exception):
    """The item is there, and its keyring is locked."""


class NotThisWayError(Exception):
    """The service could not be asked in this way; `keyring` knows more ways, and better words for what is wrong."""


def usable(remembered: str | None) -> bool:
    """Whether the secrets lie there, and the user configured nothing for `keyring` that could say otherwise."""
    return sys.platform == "linux" and remembered == BACKEND and not _configured()


def read_item(service: str, account: str) -> str | None:
    """Return an item's value or None. Raises `LockedItemError` and `NotThisWayError`."""
    try:
        from jeepney.io.blocking import open_dbus_connection  # noqa: PLC0415 (only where a secret lies there)

        with open_dbus_connection() as connection:
            return _read(connection, {"service": service, "username": account})
    except LockedItemError:
        raise
    except Exception as problem:  # noqa: BLE001 (no bus, no address, a service that speaks otherwise: whatever it is)
        raise NotThisWayError(type(problem).__name__) from None


def _read(connection: "DBusConnection", attributes: dict[str, str]) -> str | None:
    unlocked, locked = _call(connection, _PATH, "Service.SearchItems", "a{ss}", (attributes,))
    if not unlocked:
        if locked:
            raise LockedItemError
        return None
    _, session = _call(connection, _PATH, "Service.OpenSession", "sv", ("plain", ("s", "")))
    [(_session, _parameters, value, _type)] = _call(connection, unlocked[0], "Item.GetSecret", "o", (session,))
    return bytes(value).decode()


def _call(connection: "DBusConnection", path: str, member: str, signature: str, body: tuple[object, ...]) -> Any:  # noqa: ANN401 (D-Bus values)
    from jeepney import DBusAddress, MessageType, new_method_call  # noqa: PLC0415

    interface, _, method = member.partition(".")
    address = DBusAddress(path, bus_name=_NAME, interface=f"org.freedesktop.Secret.{interface}")
    reply = connection.send_and_get_reply(new_method_call(address, method, signature, body))
    if reply.header.message_type is MessageType.error:
        raise NotThisWayError
    return reply.body


def _configured() -> bool:
    """Whether there is a variable or a file that `keyring` reads its configuration from."""
    if any(name == "PYTHON_KEYRING_BACKEND" or name.startswith("KEYRING_PROPERTY_") for name in os.environ):
        return True
    root = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(root, "python_keyring", "keyringrc.cfg").exists()
