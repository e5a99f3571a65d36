"""Which limits apply to a caller, and which counters they are about."""

from collections.abc import Iterable, Iterator

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.store.eventrows import to_picodollars
from meshproxy_cli.store.leases import Counter
from meshproxy_cli.store.records import BUDGETS, Limit, LimitKind, LimitScope

#: The subject of a limit that holds for each one on its own.
EACH = "*"
# Neither can be in a counter's key, and no name that a person chose has one.
_UNUSABLE = str.maketrans({"\0": "\N{REPLACEMENT CHARACTER}", "\x1f": "\N{REPLACEMENT CHARACTER}"})


class LimitTable:
    """Limits by what they are about, for quick finding."""

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._limits = {(limit.project_id, limit.scope, limit.kind, limit.subject): limit for limit in limits}

    def __bool__(self) -> bool:
        return bool(self._limits)

    def applicable(self, caller: Caller) -> Iterator[tuple[Counter, Limit]]:
        """Yield a counter for each limit on a caller; a limit for one by name replaces that for each one."""
        for scope in LimitScope:
            name = _name(scope, caller)
            for kind in LimitKind:
                limit = self._find(caller.project_id, scope, kind, name)
                if limit is not None:
                    room = caller.room.translate(_UNUSABLE) if scope is LimitScope.SESSION else ""
                    yield Counter(caller.project_id, scope, kind, room, name.translate(_UNUSABLE)), limit

    def for_counter(self, counter: Counter) -> Limit | None:
        """Return the limit that holds for a counter now."""
        return self._find(counter.project_id, counter.scope, counter.kind, counter.name)

    def _find(self, project_id: str, scope: LimitScope, kind: LimitKind, name: str) -> Limit | None:
        by_name = self._limits.get((project_id, scope, kind, name))
        return by_name or self._limits.get((project_id, scope, kind, EACH))


def units(limit: Limit) -> int:
    """Return a limit's amount in what its counter counts."""
    return to_picodollars(limit.amount) if limit.kind in BUDGETS else int(limit.amount)


def _name(scope: LimitScope, caller: Caller) -> str:
    names = {
        LimitScope.PROJECT: "",
        LimitScope.ROOM: caller.room,
        LimitScope.SESSION: caller.session,
        LimitScope.PARTICIPANT: caller.participant,
    }
    return names[scope]
