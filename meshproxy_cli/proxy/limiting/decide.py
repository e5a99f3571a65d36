"""Whether a request goes on, from what its allowances have."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.allowance import Allowance, Verdict
from meshproxy_cli.proxy.limiting.estimates import Estimate
from meshproxy_cli.proxy.limiting.interface import DECISION_S, Admission, Pending
from meshproxy_cli.proxy.limiting.messages import describe, refusal

#: How long a request waits for what other workers may give back: well within what is promised.
PATIENCE_S = DECISION_S * 0.6

Decision = Admission | ProxyError


@dataclass(slots=True, eq=False)
class Hold:
    """What an admitted request has reserved of one allowance."""

    allowance: Allowance
    reserved: int
    estimate: Estimate


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that waits: until `give_up_at` of the monotonic clock. The store knows of it once it is `asked`."""

    caller: Caller
    allowances: tuple[Allowance, ...]
    estimate: Estimate
    give_up_at: float
    future: Pending
    asked: bool = False


def decide(allowances: Sequence[Allowance], estimate: Estimate, now: int) -> Decision | None:
    """Admit if every allowance has enough, refuse if one has none; None: the store has to be asked."""
    ask = False
    for allowance in allowances:
        verdict = allowance.ask(units_of(allowance, estimate), now)
        if verdict is Verdict.NO:
            return refusal(allowance, now)
        ask = ask or verdict is Verdict.ASK
    if ask:
        return None
    warnings = tuple(describe(allowance) for allowance in allowances if not allowance.hard and allowance.exceeded())
    holds = tuple(Hold(allowance, allowance.take(units_of(allowance, estimate)), estimate) for allowance in allowances)
    return Admission(warnings, holds)


def give_up(waiting: Waiting, now: int) -> Decision | None:
    """Refuse where nothing will come back from other workers, or did not in time."""
    for allowance in waiting.allowances:
        lacks = allowance.ask(units_of(allowance, waiting.estimate), now) is Verdict.ASK
        hopeless = waiting.asked and allowance.known and (allowance.others == 0 or allowance.spent >= allowance.amount)
        if lacks and (hopeless or time.monotonic() >= waiting.give_up_at):
            allowance.refuse_for_now(now)
            return refusal(allowance, now)
    return None


def units_of(allowance: Allowance, estimate: Estimate) -> int:
    """Return how much of an allowance a request probably uses."""
    if not allowance.estimated:
        return 1
    # More than the whole limit is never asked for; and even of a limit of nothing, something.
    return max(1, min(allowance.amount, estimate.picodollars if allowance.budget else estimate.tokens))
