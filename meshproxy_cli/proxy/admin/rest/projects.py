"""Projects, and the server's own state."""

from datetime import datetime

import msgspec

from meshproxy_cli.proxy.admin.rest.endpoint import Call, Endpoint
from meshproxy_cli.proxy.admin.services import ProviderSummary
from meshproxy_cli.store.records import Project, Role


class ProjectList(msgspec.Struct):
    """The projects of this server."""

    projects: tuple[Project, ...]


class Status(msgspec.Struct):
    """The server: its version, its providers (never their keys), whether it is ready, and the caller's own role."""

    version: str
    url: str
    started_at: datetime
    ready: bool
    reasons: tuple[str, ...]
    providers: tuple[ProviderSummary, ...]
    streams_open: int
    role: Role


async def _projects(call: Call) -> ProjectList:
    return ProjectList(projects=await call.read(lambda store: store.projects()))


async def _project(call: Call) -> Project:
    return await call.project()


async def _status(call: Call) -> Status:
    services = call.services
    reasons = services.health().reasons
    return Status(
        version=services.version,
        url=services.public_url,
        started_at=services.started_at,
        ready=not reasons,
        reasons=reasons,
        providers=services.providers,
        streams_open=services.streams_open(),
        role=call.holder.token.role,
    )


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/accounts/projects",
        summary="List projects",
        tag="Projects",
        handle=_projects,
        answer=ProjectList,
    ),
    Endpoint(
        method="GET",
        path="/accounts/projects/{project_id}",
        summary="Show a project",
        tag="Projects",
        handle=_project,
        answer=Project,
    ),
    Endpoint(
        method="GET",
        path="/accounts/status",
        summary="Show the server's state",
        tag="Server",
        handle=_status,
        answer=Status,
    ),
)
