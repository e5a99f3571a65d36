"""API keys: `ma-<key id>-<project id>-<secret>`, MeshAgent's format.

Each id is a UUID's 16 bytes in URL-safe base64 without padding, every `-` replaced by `.`, so that the first two
dashes after `ma-` part the three fields; the secret may hold dashes itself. The secret's text is the HS256 key.
"""

import base64
import binascii
import os
import uuid
from dataclasses import dataclass, field
from typing import Self

from meshproxy_cli.errors import CredentialError

PREFIX = "ma-"
MIN_SECRET = 16  # characters; MeshAgent's own secrets are longer, and HS256 is only as strong as its key
MAX_TEXT = 1024
_ENCODED_ID = 22  # characters of base64 for 16 bytes
_SECRET_BYTES = 32


class ApiKeyError(CredentialError):
    """A text that is no API key. The message never repeats the text, which may be a secret."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that signs participant tokens; `id` and `project_id` are UUID texts in lower case."""

    id: str
    project_id: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an encoded key; raise `ApiKeyError` where it is not exactly one."""
        text = text.strip()
        if not text:
            raise _error("it is empty")
        if not text.startswith(PREFIX):
            raise _error(f"it does not begin with {PREFIX!r}")
        if len(text) > MAX_TEXT or not (text.isascii() and text.isprintable()) or " " in text:
            raise _error("it holds characters that no key has, or is far too long")
        fields = text.removeprefix(PREFIX).split("-", 2)
        if len(fields) != 3:  # noqa: PLR2004 (key id, project id, secret)
            raise _error("it does not have the three parts key id, project id and secret; was it cut off?")
        key_id, project_id, secret = fields
        if not strong_enough(secret):
            raise _error(f"its secret is shorter than {MIN_SECRET} characters; was it cut off?")
        return cls(_decode_id(key_id, "key id"), _decode_id(project_id, "project id"), secret)

    def encode(self) -> str:
        """Return the text that `parse` reads."""
        return f"{PREFIX}{_encode_id(self.id)}-{_encode_id(self.project_id)}-{self.secret}"

    @classmethod
    def generate(cls, project_id: str) -> Self:
        """Make a key with a new id and 256 random bits; raise `ValueError` where `project_id` is no UUID."""
        # What `secrets.token_urlsafe` does: `token get` need not import `random` for it.
        secret = base64.urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode().rstrip("=")
        return cls(str(uuid.uuid4()), str(uuid.UUID(project_id)), secret)


def strong_enough(secret: str) -> bool:
    """Whether a secret may sign or verify at all: an empty or short one could be guessed."""
    return len(secret) >= MIN_SECRET


def _encode_id(text: str) -> str:
    return base64.urlsafe_b64encode(uuid.UUID(text).bytes).decode().rstrip("=").replace("-", ".")


def _decode_id(text: str, what: str) -> str:
    try:
        decoded = str(uuid.UUID(bytes=base64.urlsafe_b64decode(text.replace(".", "-") + "==")))
    except (binascii.Error, ValueError):
        decoded = ""
    if len(text) != _ENCODED_ID or not decoded or _encode_id(decoded) != text:
        raise _error(f"its {what} is damaged; was it cut off, or joined with other text?")
    return decoded


def _error(why: str) -> ApiKeyError:
    return ApiKeyError(f"this is no API key: {why}", hint="an API key looks like ma-<key id>-<project id>-<secret>")
