"""Which of a provider's base URLs and credentials a session uses: the first that works, and then always that one.

Encrypted reasoning is bound to the provider's account, so a session must not change it in the middle.
"""

from collections import OrderedDict
from collections.abc import Sequence

from meshproxy_cli.proxy.config.server import Provider
from meshproxy_cli.proxy.config.targets import Target
from meshproxy_cli.proxy.core.caller import Caller

_MOST_SESSIONS = 50_000


class StickySessions:
    """Remembers, for providers with several targets, the one that answered a session."""

    def __init__(self) -> None:
        self._bound: OrderedDict[tuple[str, str, str, str], Target] = OrderedDict()

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

    def worked(self, provider: Provider, caller: Caller, target: Target) -> None:
        """Note that a target answered; the session keeps to it."""
        if len(provider.targets) > 1:
            key = _key(provider, caller)
            self._bound[key] = target
            self._bound.move_to_end(key)
            if len(self._bound) > _MOST_SESSIONS:
                self._bound.popitem(last=False)

    def is_bound(self, provider: Provider, caller: Caller) -> bool:
        """Whether the session keeps to one target already."""
        return len(provider.targets) > 1 and self._bound.get(_key(provider, caller)) in provider.targets


def _key(provider: Provider, caller: Caller) -> tuple[str, str, str, str]:
    return provider.name, caller.project_id, caller.room, caller.session
