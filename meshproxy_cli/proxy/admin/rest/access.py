"""Access tokens of this API and of the dashboard, and the audit log. A token's text is shown once, when made."""

from typing import Annotated

import msgspec

from meshproxy_cli.proxy.admin.rest.api_keys import Name
from meshproxy_cli.proxy.admin.rest.endpoint import Call, Endpoint, Input
from meshproxy_cli.store.records import AccessToken, AuditEntry, Role

_PATH = "/accounts/access-tokens"


class NewAccessToken(Input):
    """Name and role of a new token."""

    name: Name
    role: Role


class CreatedAccessToken(msgspec.Struct):
    """A new token; `value` is its text and is shown this once."""

    token: AccessToken
    value: str


class AccessTokenList(msgspec.Struct):
    """Every access token, revoked ones included, without their texts."""

    tokens: tuple[AccessToken, ...]


class AuditParameters(Input):
    """How many entries."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100


class AuditLog(msgspec.Struct):
    """What admins changed, the newest first."""

    entries: tuple[AuditEntry, ...]


async def _create(call: Call) -> CreatedAccessToken:
    new: NewAccessToken = call.body
    token, value = await call.change(
        lambda store: store.create_access_token(new.name, new.role),
    )
    return CreatedAccessToken(token=token, value=value)


async def _list(call: Call) -> AccessTokenList:
    return AccessTokenList(tokens=await call.read(lambda store: store.access_tokens()))


async def _revoke(call: Call) -> None:
    token_id = call.path("token_id")
    await call.change(lambda store: store.revoke_access_token(token_id))


async def _audit(call: Call) -> AuditLog:
    limit = call.query.limit
    return AuditLog(entries=await call.read(lambda store: store.audit_entries(limit=limit)))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=_PATH,
        summary="Create an access token",
        description="The answer holds the token's text, this once.",
        tag="Access",
        handle=_create,
        answer=CreatedAccessToken,
        admin=True,
        body=NewAccessToken,
    ),
    Endpoint(
        method="GET",
        path=_PATH,
        summary="List access tokens",
        tag="Access",
        handle=_list,
        answer=AccessTokenList,
        admin=True,
    ),
    Endpoint(
        method="DELETE",
        path=_PATH + "/{token_id}",
        summary="Revoke an access token",
        tag="Access",
        handle=_revoke,
        admin=True,
    ),
    Endpoint(
        method="GET",
        path="/accounts/audit",
        summary="Read the audit log",
        tag="Access",
        handle=_audit,
        answer=AuditLog,
        admin=True,
        query=AuditParameters,
    ),
)
