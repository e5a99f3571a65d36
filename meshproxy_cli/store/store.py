"""The store: one database, composed of a part for each concern."""

from dataclasses import dataclass
from typing import Self

from meshproxy_cli.store.engine.session import StoreSession
from meshproxy_cli.store.parts.access_tokens import AccessTokens
from meshproxy_cli.store.parts.audit import Audit
from meshproxy_cli.store.parts.changes import Changes
from meshproxy_cli.store.parts.dashboard_sessions import DashboardSessions
from meshproxy_cli.store.parts.events import Events
from meshproxy_cli.store.parts.keys import Keys
from meshproxy_cli.store.parts.leases import Leases
from meshproxy_cli.store.parts.limits import Limits
from meshproxy_cli.store.parts.notices import Notices
from meshproxy_cli.store.parts.owners import AnswerOwners
from meshproxy_cli.store.parts.projects import Projects
from meshproxy_cli.store.parts.rooms import Rooms
from meshproxy_cli.store.parts.usage import Usage
from meshproxy_cli.store.records import Actor


@dataclass(frozen=True, slots=True)
class Store:
    """The database of a Room Proxy, on SQLite or PostgreSQL; safe to share between threads.

    Methods of the parts are synchronous and may block: the proxy calls them from threads of their own, never on the
    path of a request. Each may raise `StoreUnavailableError`.
    """

    session: StoreSession
    projects: Projects
    keys: Keys
    rooms: Rooms
    limits: Limits
    leases: Leases
    events: Events
    usage: Usage
    owners: AnswerOwners
    access_tokens: AccessTokens
    audit: Audit
    dashboard_sessions: DashboardSessions
    notices: Notices
    changes: Changes

    @classmethod
    def over(cls, session: StoreSession) -> Self:
        """Return the store whose parts share `session`."""
        return cls(
            session=session,
            projects=Projects(session),
            keys=Keys(session),
            rooms=Rooms(session),
            limits=Limits(session),
            leases=Leases(session),
            events=Events(session),
            usage=Usage(session),
            owners=AnswerOwners(session),
            access_tokens=AccessTokens(session),
            audit=Audit(session),
            dashboard_sessions=DashboardSessions(session),
            notices=Notices(session),
            changes=Changes(session),
        )

    def acting_as(self, actor: Actor) -> Self:
        """Return the same store; its changes are entered in the audit log, each in the change's own transaction."""
        return self.over(self.session.acting_as(actor))

    def close(self) -> None:
        """Close every connection."""
        self.session.database.close()
