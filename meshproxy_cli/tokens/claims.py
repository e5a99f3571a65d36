"""The claims of a participant token, read strictly: whatever is missing, doubled or of another type is refused."""

import enum
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from meshproxy_cli.errors import CredentialError
from meshproxy_cli.tokens.jws import Json

ROLES: Final = ("user", "agent", "tool")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GRANTS_READ = ("role", "api", "room")
_LATEST: Final = 2**53  # seconds: beyond it not every JSON number is exact, and `math` and floats overflow


class TokenProblem(enum.StrEnum):
    """Why a token is refused; stable, for logs, metrics and `--json`."""

    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_PROJECT = "wrong_project"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"


class TokenError(CredentialError):
    """A token that is refused. The message never repeats the token."""

    def __init__(self, reason: TokenProblem, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantToken:
    """What a token says. Times are Unix seconds; `models` None means every model, once `llm` is granted.

    `scope` is the `api` grant as it stands in the token: a section's name to its fields that are not the default.
    `session` binds the token to one `Meshagent-Session`, where it was made so.
    """

    identity: str
    room: str | None
    role: str
    key_id: str
    project_id: str
    llm: bool
    models: tuple[str, ...] | None
    expires_at: int | None
    not_before: int | None
    version: str
    scope: Mapping[str, Json]
    session: str | None = None

    @property
    def unknown_llm_members(self) -> tuple[str, ...]:
        """Members of the `llm` grant that mean nothing here: a misspelled `models` would allow every model."""
        llm = self.scope.get("llm")
        return tuple(name for name in llm if name != "models") if isinstance(llm, dict) else ()


def read_claims(payload: Mapping[str, Json]) -> ParticipantToken:
    """Read a payload; raise `TokenError` (malformed)."""
    grants = _read_grants(payload.get("grants"))
    scope = grants.get("api", {})
    if not isinstance(scope, dict):
        raise _malformed("its api grant is not an object")
    if "aud" in payload:
        raise _malformed("it is meant for somebody else (it names an audience)")
    llm, models = _read_llm(scope.get("llm"))
    return ParticipantToken(
        identity=_text(payload, "name"),
        room=_text(grants, "room") if "room" in grants else None,
        role=_role(grants.get("role", "user")),
        key_id=_id(payload, "kid"),
        project_id=_id(payload, "sub"),
        llm=llm,
        models=models,
        expires_at=_time(payload, "exp"),
        not_before=_time(payload, "nbf"),
        version=_text(payload, "version") if "version" in payload else "",
        scope=scope,
        session=_text(payload, "session") if "session" in payload else None,
    )


def read_key_id(payload: Mapping[str, Json]) -> str:
    """Read the id of the API key that a payload names, and nothing else; raise `TokenError` (malformed)."""
    return _id(payload, "kid")


def _read_grants(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, list):
        raise _malformed("it has no list of grants")
    found: dict[str, Json] = {}
    for grant in value:
        if not isinstance(grant, dict) or not isinstance(grant.get("name"), str) or "scope" not in grant:
            raise _malformed("one of its grants does not have a name and a scope")
        name = grant["name"]
        if name in found and name in _GRANTS_READ:
            raise _malformed(f"it grants {name} twice")
        found[name] = grant["scope"]
    return found


def _read_llm(value: Json) -> tuple[bool, tuple[str, ...] | None]:
    if value is None:
        return False, None
    if not isinstance(value, dict):
        raise _malformed("its llm grant is not an object")
    models = value.get("models")
    if models is None:
        return True, None
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise _malformed("its list of models is not a list of names")
    return True, tuple(models)


def _role(value: Json) -> str:
    if value not in ROLES:
        raise _malformed(f"its role is none of {', '.join(ROLES)}")
    return str(value)


def _text(source: Mapping[str, Json], name: str) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not value.strip() or _has_surrogate(value):
        raise _malformed(f"its {name!r} is not a text")
    return value


def _has_surrogate(value: str) -> bool:
    return not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value)


def _id(payload: Mapping[str, Json], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise _malformed(f"its {name!r} is not a UUID")
    return value.lower()


def _time(payload: Mapping[str, Json], name: str) -> int | None:
    value = payload.get(name)
    if value is None and name not in payload:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LATEST <= value <= _LATEST:
        raise _malformed(f"its {name!r} is not a time in Unix seconds")
    return math.floor(value)


def _malformed(why: str) -> TokenError:
    return TokenError(TokenProblem.MALFORMED, f"this is no participant token: {why}")
