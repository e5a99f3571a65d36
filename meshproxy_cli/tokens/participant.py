"""Participant tokens: HS256 JWTs that say who a participant is, in which room, and what it may do there.

Payload, as MeshAgent writes it: `exp` and `nbf` where given, `name` (the identity), `grants` (a list of
`{name, scope}`: role, api, room), `sub` (project id), `version` (of the schema), `kid` (id of the signing API key).
"""

from collections.abc import Callable
from typing import Final, Protocol

from meshproxy_cli.tokens import jws
from meshproxy_cli.tokens.apikey import ApiKey, strong_enough
from meshproxy_cli.tokens.claims import ParticipantToken, TokenError, TokenProblem, read_claims, read_key_id
from meshproxy_cli.tokens.jws import Json
from meshproxy_cli.tokens.tokenspec import TokenSpec

__all__ = [
    "SCHEMA_VERSION",
    "ParticipantToken",
    "SigningSecret",
    "TokenError",
    "TokenProblem",
    "decode_unverified",
    "mint",
    "verify",
]

SCHEMA_VERSION: Final = "0.55.1"  # of meshagent-api, whose tokens these are to the letter


class SigningSecret(Protocol):
    """What verifying needs of an API key."""

    @property
    def id(self) -> str: ...

    @property
    def project_id(self) -> str: ...

    @property
    def secret(self) -> str: ...

    @property
    def revoked(self) -> bool: ...


def mint(
    spec: TokenSpec,
    key: ApiKey,
    *,
    now: int,
    expires_in: int | None = None,
    not_before: int | None = None,
    session: str | None = None,
) -> str:
    """Sign a token. `now` and `not_before` are Unix seconds, `expires_in` is seconds from `now` (None: never).

    `session` binds it to one session by a claim of that name, which MeshAgent's service carries and does not read.
    Raises `TokenError` where the key's secret is too short to sign with, or the token would fit in no header.
    """
    if not strong_enough(key.secret):
        raise TokenError(TokenProblem.UNKNOWN_KEY, "the API key's secret is too short to sign with")
    payload: dict[str, Json] = {}
    if expires_in is not None:
        payload["exp"] = now + expires_in
    if not_before is not None:
        payload["nbf"] = not_before
    if session is not None:
        payload["session"] = session
    payload |= {"name": spec.identity, "grants": _grants(spec), "sub": key.project_id, "version": SCHEMA_VERSION}
    payload["kid"] = key.id
    token = jws.sign(payload, key.secret)
    if len(token) > jws.MAX_TOKEN:
        raise TokenError(
            TokenProblem.MALFORMED, f"the token would have {len(token):,} characters: it fits in no header"
        )
    return token


def _signed_by(_token: str, signed: jws.SignedToken, secret: str) -> bool:
    return signed.signed_by(secret)


def verify(
    token: str,
    find_key: Callable[[str], SigningSecret | None],
    *,
    now: int,
    signed_by: Callable[[str, jws.SignedToken, str], bool] = _signed_by,
) -> ParticipantToken:
    """Check a token in every respect but what it is used for; raise `TokenError` with the reason.

    `find_key` gets the id that the token names. `signed_by` compares the signature with a secret. Nothing else of the
    payload is read before that. Whether the room and the model fit is for the caller to say.
    """
    signed = _split(token)
    key_id = read_key_id(signed.payload)
    named = signed.header.get("kid", key_id)
    if not isinstance(named, str) or named.lower() != key_id:
        raise TokenError(TokenProblem.MALFORMED, "this is no participant token: it names two API keys")
    key = find_key(key_id)
    if key is None or not strong_enough(key.secret):
        raise TokenError(TokenProblem.UNKNOWN_KEY, "the token was signed with an API key that is not known here")
    if not signed_by(token, signed, key.secret):
        raise TokenError(TokenProblem.BAD_SIGNATURE, "the token's signature is not that of the API key it names")
    claims = read_claims(signed.payload)
    _check_key(claims, key)
    check_times(claims, now=now)
    return claims


def decode_unverified(token: str) -> ParticipantToken:
    """Read a token without checking who signed it: to show it to a person, never to let anybody in."""
    return read_claims(_split(token).payload)


def check_times(claims: ParticipantToken, *, now: int) -> None:
    """Raise `TokenError` where the token has expired, or does not hold yet."""
    if claims.expires_at is not None and claims.expires_at <= now:
        raise TokenError(TokenProblem.EXPIRED, "the token has expired")
    if claims.not_before is not None and claims.not_before > now:
        raise TokenError(TokenProblem.NOT_YET_VALID, "the token is not valid yet")


def _check_key(claims: ParticipantToken, key: SigningSecret) -> None:
    if key.revoked:
        raise TokenError(TokenProblem.REVOKED_KEY, "the API key that signed this token was revoked")
    if key.project_id != claims.project_id:
        raise TokenError(TokenProblem.WRONG_PROJECT, "the token is for another project than its API key")


def _split(token: str) -> jws.SignedToken:
    try:
        return jws.split(token)
    except jws.AlgorithmError as problem:
        raise TokenError(TokenProblem.ALGORITHM, f"this is no participant token: {problem}") from None
    except jws.MalformedTokenError as problem:
        raise TokenError(TokenProblem.MALFORMED, f"this is no participant token: {problem}") from None


def _grants(spec: TokenSpec) -> list[Json]:
    grants: list[Json] = []
    if spec.role is not None and spec.role != "user":
        grants.append({"name": "role", "scope": spec.role})
    grants.append({"name": "api", "scope": dict(spec.api)})
    if spec.room is not None:
        grants.append({"name": "room", "scope": spec.room})
    return grants
