"""Compact JSON Web Signatures (RFC 7515) with HS256, and nothing else.

Signing takes `hmac` alone: importing a JWT library costs a credential helper more time than all its other work.
Reading is strict, since what is read may be forged: three parts, canonical base64url, JSON objects without repeated
names, no algorithm but HS256, no extension that we would not honor.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALGORITHM = "HS256"
MAX_TOKEN = 16_384  # characters: what HTTP servers, ours too, take as a header
_PARTS = 3

Json = Any  # a JSON value as `json` reads it: the shape of claims is checked where they are used


class MalformedTokenError(ValueError):
    """The text is no compact JWS with JSON objects as header and payload."""


class AlgorithmError(ValueError):
    """The header names another algorithm than HS256."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token taken apart; nothing in it is to be believed before `signed_by` says so."""

    header: Mapping[str, Json]
    payload: Mapping[str, Json]
    signing_input: bytes
    signature: bytes

    def signed_by(self, secret: str) -> bool:
        """Compare the signature with the right one, in constant time."""
        return hmac.compare_digest(self.signature, _signature(self.signing_input, secret))


def sign(payload: Mapping[str, Json], secret: str) -> str:
    """Return the token, byte for byte as PyJWT writes it for the same payload."""
    signing_input = b".".join(_encode(_dump(part)) for part in ({"alg": ALGORITHM, "typ": "JWT"}, payload))
    return (signing_input + b"." + _encode(_signature(signing_input, secret))).decode()


def split(token: str) -> SignedToken:
    """Take a token apart; raise `MalformedTokenError`, or `AlgorithmError` for anything but HS256."""
    if len(token) > MAX_TOKEN:
        raise MalformedTokenError(f"it is longer than {MAX_TOKEN} characters")
    parts = token.split(".")
    if len(parts) != _PARTS:
        raise MalformedTokenError(f"a token has three parts with dots between them, this has {len(parts)}")
    header, payload = (_load(_decode(part)) for part in parts[:2])
    _check_header(header)
    return SignedToken(header, payload, ".".join(parts[:2]).encode(), _decode(parts[2]))


def _check_header(header: Mapping[str, Json]) -> None:
    if header.get("alg") != ALGORITHM:
        raise AlgorithmError("participant tokens are signed with HS256")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise MalformedTokenError("its header says that it is no JWT")
    if "crit" in header or "b64" in header:
        raise MalformedTokenError("its header asks for extensions that participant tokens do not have")


def _signature(signing_input: bytes, secret: str) -> bytes:
    return hmac.digest(secret.encode(), signing_input, "sha256")


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: str) -> bytes:
    try:
        encoded = text.encode("ascii")
        data = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    except (UnicodeEncodeError, binascii.Error):
        raise MalformedTokenError("a part of it is not base64url; was it cut off?") from None
    if _encode(data) != encoded:
        raise MalformedTokenError("a part of it is not base64url as it must be written; was it cut off?")
    return data


def _dump(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _load(data: bytes) -> Mapping[str, Json]:
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise MalformedTokenError("a part of it is not JSON, or repeats a name") from None
    if not isinstance(value, dict):
        raise MalformedTokenError("a part of it is not a JSON object")
    return value


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("repeated name")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(name)
