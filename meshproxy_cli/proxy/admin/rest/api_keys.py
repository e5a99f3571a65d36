"""API keys of a project: MeshAgent's calls. A key's value is in the answer that creates it and nowhere else."""

from typing import Annotated

import msgspec

from meshproxy_cli.proxy.admin.rest.endpoint import Call, Endpoint, Input
from meshproxy_cli.store.records import ApiKeyRecord

_PATH = "/accounts/projects/{project_id}/api-keys"

#: Something to see, and no control characters.
Name = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")]


class NewApiKey(Input):
    """What a new key is called."""

    name: Name
    description: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class CreatedApiKey(msgspec.Struct):
    """A new key; `value` is the key itself and is shown this once."""

    id: str
    name: str
    description: str
    value: str


class ApiKeyList(msgspec.Struct):
    """A project's keys, revoked ones included, without their secrets."""

    keys: tuple[ApiKeyRecord, ...]


async def _create(call: Call) -> CreatedApiKey:
    project = await call.project()
    new: NewApiKey = call.body
    key = await call.change(lambda store: store.create_api_key(project.id, new.name, new.description))
    return CreatedApiKey(id=key.id, name=new.name, description=new.description, value=key.encode())


async def _list(call: Call) -> ApiKeyList:
    project = await call.project()
    return ApiKeyList(keys=await call.read(lambda store: store.api_keys(project.id)))


async def _revoke(call: Call) -> None:
    project, key_id = await call.project(), call.path("key_id")
    await call.change(lambda store: store.revoke_api_key(project.id, key_id))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path=_PATH,
        summary="Create an API key",
        description="The answer holds the key itself, this once.",
        tag="API keys",
        handle=_create,
        answer=CreatedApiKey,
        admin=True,
        body=NewApiKey,
    ),
    Endpoint(method="GET", path=_PATH, summary="List API keys", tag="API keys", handle=_list, answer=ApiKeyList),
    Endpoint(
        method="DELETE",
        path=_PATH + "/{key_id}",
        summary="Revoke an API key",
        description="Every token that it signed stops working within a second.",
        tag="API keys",
        handle=_revoke,
        admin=True,
    ),
)
