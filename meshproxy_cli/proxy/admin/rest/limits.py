"""Limits of a project, its rooms, sessions and participants."""

from decimal import Decimal

import msgspec

from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.rest.endpoint import Call, Endpoint, Input
from meshproxy_cli.store.records import Limit, LimitKind, LimitScope, wrong_amount

_PATH = "/accounts/projects/{project_id}/limits"


class LimitBody(Input):
    """A limit; one with the same scope, subject and kind is replaced. `hard: false` warns only."""

    scope: LimitScope
    kind: LimitKind
    amount: Decimal
    subject: str = ""
    hard: bool = True


class LimitName(Input):
    """Which limit."""

    scope: LimitScope
    kind: LimitKind
    subject: str = ""


class LimitList(msgspec.Struct):
    """A project's limits."""

    limits: tuple[Limit, ...]


def check_limit(project_id: str, body: LimitBody) -> Limit:
    """Return the limit that is meant; raise `Problem` 400 where its subject or amount makes no sense."""
    if (body.scope is LimitScope.PROJECT) != (body.subject == ""):
        raise Problem(
            400,
            "invalid_request",
            "`subject` names the room, session or participant (“*”: each on its own) and stays empty for the project.",
        )
    if problem := wrong_amount(body.kind, body.amount):
        raise Problem(400, "invalid_request", f"`amount` can't be taken: {problem}.")
    return Limit(
        project_id=project_id,
        scope=body.scope,
        subject=body.subject,
        kind=body.kind,
        amount=body.amount,
        hard=body.hard,
    )


async def _list(call: Call) -> LimitList:
    project = await call.project()
    return LimitList(limits=await call.read(lambda store: store.limits(project.id)))


async def _put(call: Call) -> Limit:
    limit = check_limit((await call.project()).id, call.body)
    await call.change(lambda store: store.put_limit(limit))
    return limit


async def _remove(call: Call) -> None:
    project, name = await call.project(), call.query
    limit = Limit(project_id=project.id, scope=name.scope, subject=name.subject, kind=name.kind, amount=Decimal(0))
    await call.change(lambda store: store.remove_limit(limit))


ENDPOINTS = (
    Endpoint(method="GET", path=_PATH, summary="List limits", tag="Limits", handle=_list, answer=LimitList),
    Endpoint(
        method="PUT",
        path=_PATH,
        summary="Set a limit",
        tag="Limits",
        handle=_put,
        answer=Limit,
        admin=True,
        body=LimitBody,
    ),
    Endpoint(
        method="DELETE",
        path=_PATH,
        summary="Remove a limit",
        tag="Limits",
        handle=_remove,
        admin=True,
        query=LimitName,
    ),
)
