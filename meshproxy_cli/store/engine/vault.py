"""Encryption of signing secrets at rest: AES-256-GCM under a master key that is not in the database.

A sealed secret is `nonce (12 bytes) || ciphertext || tag (16 bytes)`, bound to the API key's id and project as
associated data, so that swapping rows of a stolen or altered database decrypts nothing. The id of the master key is
stored beside it: several can be known at once, and the database says which is in use, so rotation needs no downtime.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from meshproxy_cli.errors import CredentialError, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MASTER_KEY_BYTES = 32
_NONCE_BYTES = 12


class MasterKeyError(CredentialError):
    """The master key is missing, malformed, or not the one that a secret was encrypted with."""


def generate_master_key() -> bytes:
    """Return a new master key."""
    return os.urandom(MASTER_KEY_BYTES)


def encode_master_keys(keys: Sequence[bytes]) -> str:
    """Return the keys as URL-safe base64, separated by commas; the first one encrypts."""
    return ",".join(base64.urlsafe_b64encode(key).decode() for key in keys)


def parse_master_keys(text: str, *, source: str) -> tuple[bytes, ...]:
    """Parse the text of `encode_master_keys`. Raise `UsageError`, which quotes `source` but not the text."""
    keys = tuple(_decode(part, source) for part in text.replace(",", " ").split())
    if not keys:
        raise UsageError(f"The master key in {source} is empty.", hint=_HOW_TO_MAKE_ONE)
    return keys


_HOW_TO_MAKE_ONE = (
    'make one with: python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
)


def _decode(part: str, source: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise UsageError(
            f"The master key in {source} is not {MASTER_KEY_BYTES} bytes of URL-safe base64.", hint=_HOW_TO_MAKE_ONE
        )
    return key


def master_key_id(key: bytes) -> str:
    """Return the id by which rows refer to a master key; it reveals nothing about the key."""
    return hashlib.sha256(b"meshproxy master key id\0" + key).hexdigest()[:16]


#: Loads the master keys; gets the id of the one that the database uses, None if there is none yet.
KeyLoader = Callable[[str | None], Sequence[bytes]]


class Vault:
    """Encrypts and decrypts secrets. `load` is called if no key, or not the required one, is known."""

    def __init__(self, keys: Sequence[bytes], *, load: KeyLoader | None = None) -> None:
        self._load = load
        self._keys: dict[str, bytes] = {}
        self._newest = ""
        self.use(keys)

    def use(self, keys: Sequence[bytes]) -> None:
        """Replace the known keys."""
        self._keys = {master_key_id(key): key for key in keys}
        self._newest = next(iter(self._keys), "")

    def sealing_key_id(self, current: str | None) -> str:
        """Return the id of the key to encrypt with: `current`, the one that the database uses, else the first one.

        Raise `MasterKeyError` if there is none, or `current` is not known.
        """
        newest = self.newest_key_id(current)
        return newest if current is None else current

    def newest_key_id(self, current: str | None) -> str:
        """Return the id of the key to rotate to, the first one; `current` is the one that the database uses.

        Raise `MasterKeyError` if there is none, or `current` is not known: its secrets could not be decrypted.
        """
        if self._load is not None and (not self._newest or (current is not None and current not in self._keys)):
            self.use(self._load(current))
        if current is not None:
            self._find(current)
        if not self._newest:
            raise _no_key()
        return self._newest

    def seal(self, secret: str, master_key: str, *, key_id: str, project_id: str) -> bytes:
        """Encrypt the secret of API key `key_id` with the master key of that id."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = _aes_gcm(self._find(master_key))
        return nonce + cipher.encrypt(nonce, secret.encode(), _bound_to(key_id, project_id))

    def open(self, sealed: bytes, sealed_with: str, *, key_id: str, project_id: str) -> str:
        """Decrypt the secret; raise `MasterKeyError` if the master key is not known or the row was tampered with."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 (50 ms that most commands never need)

        cipher = _aes_gcm(self._find(sealed_with))
        try:
            secret = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(key_id, project_id))
        except InvalidTag:
            raise MasterKeyError(
                f"The stored secret of API key {key_id} was changed outside of meshproxy and can't be trusted.",
                hint=f"revoke it: meshproxy api-key revoke {key_id}",
            ) from None
        return secret.decode()

    def _find(self, wanted: str) -> bytes:
        if wanted not in self._keys and self._load is not None:
            self.use(self._load(wanted))
        if wanted in self._keys:
            return self._keys[wanted]
        if not self._keys:
            raise _no_key()
        raise MasterKeyError(
            f"Signing secrets in the database are encrypted with another master key (id {wanted}).",
            hint="give that one; to move to a new one give both, the new one first: MESHPROXY_MASTER_KEY=NEW,OLD",
        )


def _no_key() -> MasterKeyError:
    return MasterKeyError(
        "The store was opened without its master key, so signing secrets can't be read or made.",
        hint="set MESHPROXY_MASTER_KEY, or run this as the user who runs `meshproxy serve`",
    )


def _aes_gcm(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

    return AESGCM(key)


def _bound_to(key_id: str, project_id: str) -> bytes:
    return f"meshproxy api key\0{project_id}\0{key_id}".encode()
