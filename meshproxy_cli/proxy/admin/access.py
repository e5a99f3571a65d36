"""Who may use REST and the dashboard: access tokens with a role, checked in the handler that uses them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from anyio import to_thread
from starlette.requests import Request

from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.services import WebServices
from meshproxy_cli.store.records import AccessToken, Actor, Role
from meshproxy_cli.store.store import Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of the access token that a request came with, and where it came from."""

    token: AccessToken
    origin: str

    @property
    def name(self) -> str:
        """The token's name."""
        return self.token.name

    @property
    def actor(self) -> Actor:
        """Return how the audit log names it."""
        return Actor(name=self.token.name, origin=self.origin)

    @property
    def is_admin(self) -> bool:
        """Whether changes are allowed."""
        return self.token.role is Role.ADMIN


def services_of(request: Request) -> WebServices:
    """Return what the server handed to the application."""
    services: WebServices = request.app.state.services
    return services


async def in_store(request: Request, work: Callable[[Store], T]) -> T:
    """Run blocking work on the store in the thread pool and return its result."""
    store = services_of(request).store
    return await to_thread.run_sync(work, store)


async def change_in_store(request: Request, holder: Holder, work: Callable[[Store], T]) -> T:
    """Run a change, which the store enters in the audit log within its transaction, and have it known at once."""
    services = services_of(request)
    result = await to_thread.run_sync(lambda: work(services.store.acting_as(holder.actor)))
    services.control_changed()
    return result


async def authenticate(request: Request, *, admin: bool) -> Holder:
    """Return who holds the request's bearer token; raise `Problem` 401 without a good one and 403 for a viewer."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    token = None
    if scheme.lower() == "bearer" and text.strip():
        token = await in_store(request, lambda store: store.access_tokens.check(text.strip()))
    if token is None:
        raise Problem(
            401,
            "access_token_required",
            "This needs an access token of this server, as `Authorization: Bearer …`; there was none or it is unknown "
            "or revoked. An admin makes one with `meshproxy access create`. Participant tokens are for agents.",
        )
    return authorize(Holder(token, origin_of(request)), admin=admin)


def authorize(holder: Holder, *, admin: bool) -> Holder:
    """Return `holder` where its role suffices, else raise `Problem` 403."""
    if admin and not holder.is_admin:
        raise Problem(
            403,
            "admin_required",
            f"This is for admins, and “{holder.name}” is a viewer token: it sees usage, rooms and limits, and changes "
            "nothing.",
        )
    return holder


def origin_of(request: Request) -> str:
    """Return the address of the client."""
    return request.client.host if request.client else ""
