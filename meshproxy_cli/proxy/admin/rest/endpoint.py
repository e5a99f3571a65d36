"""A REST call as data: what it takes, who may make it, what it answers. Routes and OpenAPI are both made from it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from meshproxy_cli.proxy.admin.access import Holder, authenticate, change_in_store, in_store, services_of
from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.services import WebServices
from meshproxy_cli.store.base import Store
from meshproxy_cli.store.records import Project

T = TypeVar("T")
Q = TypeVar("Q")

MAX_BODY = 64 * 1024
_encoder = msgspec.json.Encoder(decimal_format="number")


class Input(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request's query or body: only declared fields are accepted."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, checked: who makes it, and with what. `query` and `body` are of the endpoint's types."""

    request: Request
    holder: Holder
    query: Any
    body: Any

    @property
    def services(self) -> WebServices:
        """What the server handed to the web side."""
        return services_of(self.request)

    def path(self, name: str) -> str:
        """Return a parameter of the path."""
        value: str = self.request.path_params[name]
        return value

    async def read(self, work: Callable[[Store], T]) -> T:
        """Run blocking work on the store in the thread pool."""
        return await in_store(self.request, work)

    async def change(self, work: Callable[[Store], T]) -> T:
        """Run a change, which the store enters in the audit log, and have it known at once."""
        return await change_in_store(self.request, self.holder, work)

    async def project(self) -> Project:
        """Return the project that the path names; raise `Problem` 404 where there is none."""
        wanted = self.path("project_id")
        for project in await self.read(lambda store: store.projects()):
            if project.id == wanted:
                return project
        raise Problem(404, "not_found", f"There is no project {wanted!r} here; `GET /accounts/projects` lists them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A REST call. `answer` is the type of the answer's body (None: no body, 204)."""

    method: str
    path: str
    summary: str
    tag: str
    handle: Callable[[Call], Awaitable[Any]]
    answer: Any = None
    admin: bool = False
    query: type[Input] | None = None
    body: type[Input] | None = None
    status: int = 200
    description: str = ""

    def route(self) -> Route:
        """Return the Starlette route."""

        async def handle(request: Request) -> Response:
            holder = await authenticate(request, admin=self.admin)
            storable(request.path_params)
            query = read_query(request, self.query) if self.query else None
            body = await read_body(request, self.body) if self.body else None
            answer = await self.handle(Call(request, holder, query, body))
            if self.answer is None:
                return Response(status_code=204)
            return Response(_encoder.encode(answer), status_code=self.status, media_type="application/json")

        return Route(self.path, handle, methods=[self.method])


def read_query(request: Request, kind: type[Q]) -> Q:
    """Read the query string as `kind`; raise `Problem` 400 that names what is wrong."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        given[name] = f"{given[name]},{value}" if name in given else value
    return check(given, kind)


def check(fields: Mapping[str, str], kind: type[Q]) -> Q:
    """Return the texts of a query or a form as `kind`; raise `Problem` 400 that names what is wrong."""
    try:
        return msgspec.convert(storable(fields), kind, strict=False)
    except msgspec.ValidationError as problem:
        raise Problem(400, "invalid_request", f"That can't be taken: {problem}.") from None


async def read_body(request: Request, kind: type[Q]) -> Q:
    """Read a JSON body as `kind`; raise `Problem` 400 that names what is wrong, or 413."""
    try:
        body = msgspec.json.decode(await read_bytes(request), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise Problem(400, "invalid_request", f"The body is wrong: {problem}.") from None
    storable(msgspec.to_builtins(body))
    return body


def storable(given: T) -> T:
    """Return texts as they are; raise `Problem` 400 where one holds what PostgreSQL takes in no text."""
    if isinstance(given, str) and "\0" in given:
        raise Problem(400, "invalid_request", "That can't be taken: a text holds the character NUL.")
    parts = (
        (*given, *given.values()) if isinstance(given, Mapping) else given if isinstance(given, list | tuple) else ()
    )
    for part in parts:
        storable(part)
    return given


async def read_bytes(request: Request) -> bytes:
    """Read a body of bounded size; raise `Problem` 413 for a larger one."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise Problem(413, "too_large", f"The body is larger than {MAX_BODY} bytes.")
    return bytes(data)
