"""Which of a provider's base URLs and credentials a session uses: the first that works, and then always that one.

Encrypted reasoning is bound to the provider's account, so a session must not change it in the middle.
"""

from collections.abc import Sequence

from meshproxy_cli.proxy.config.server import Provider
from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.core.bounded_cache import BoundedCache
from meshproxy_cli.proxy.core.caller import Caller

_MOST_BYTES = 32 * 1024 * 1024
_ENTRY_BYTES = 500


class SessionAffinity:
    """Remembers, for providers with several targets, the one that answered a session."""

    def __init__(self) -> None:
        self._bound: BoundedCache[tuple[str, str, str, str], Target] = BoundedCache(_MOST_BYTES)

    def targets(self, provider: Provider, caller: Caller) -> Sequence[Target]:
        """Return the targets in the order in which to try them; those of the session's credential come first."""
        targets = provider.targets
        if len(targets) == 1:
            return targets
        bound = self._bound.get(_key(provider, caller))
        if bound is None or bound not in targets:
            return targets
        others = [target for target in targets if target != bound]
        return (bound, *sorted(others, key=lambda target: target.credential != bound.credential))

    def bind(self, provider: Provider, caller: Caller, target: Target) -> None:
        """Note that a target answered; the session keeps to it."""
        if len(provider.targets) > 1:
            key = _key(provider, caller)
            self._bound.put(key, target, _ENTRY_BYTES + 4 * (len(caller.room) + len(caller.session)))

    def is_bound(self, provider: Provider, caller: Caller) -> bool:
        """Whether the session keeps to one target already."""
        return len(provider.targets) > 1 and self._bound.get(_key(provider, caller)) in provider.targets


def _key(provider: Provider, caller: Caller) -> tuple[str, str, str, str]:
    return provider.name, caller.project_id, caller.room, caller.session
