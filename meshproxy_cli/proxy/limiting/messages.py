"""What a person reads when a limit is used up: which one, whose, and until when."""

from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus

from meshproxy_cli.proxy.core.errors import ProxyError
from meshproxy_cli.proxy.limiting.allowance import Allowance
from meshproxy_cli.store.engine.eventrows import from_picodollars
from meshproxy_cli.store.leases import Counter
from meshproxy_cli.store.records import BUDGETS, LimitKind, LimitScope

_SECOND = 1_000_000


def refusal(allowance: Allowance, now: int) -> ProxyError:
    """Return the refusal of a request for which `allowance` has nothing left."""
    budget = allowance.budget
    return ProxyError(
        status=HTTPStatus.TOO_MANY_REQUESTS,
        code="budget_exceeded" if budget else "rate_limit_exceeded",
        message=_reserved(allowance) if _is_reserved(allowance) else f"{describe(allowance)} {_until(allowance, now)}",
        headers=_headers(allowance, now),
    )


def describe(allowance: Allowance) -> str:
    """Return a sentence that says whose limit is used up, and what it is."""
    return f"{_whose(allowance.counter)} has reached its limit of {_what(allowance)}."


def _reserved(allowance: Allowance) -> str:
    return (
        f"{_whose(allowance.counter)} has a limit of {_what(allowance)}, and what is left of it is reserved for "
        "requests that are under way. Try again when they have ended."
    )


def _whose(counter: Counter) -> str:
    if counter.scope is LimitScope.PROJECT:
        return "This project"
    if counter.scope is LimitScope.SESSION:
        return f"The session '{counter.name}' of room '{counter.room}'"
    return f"The {counter.scope.value} '{counter.name}'"


def _what(allowance: Allowance) -> str:
    kind, amount = allowance.counter.kind, allowance.amount
    if kind in BUDGETS:
        period = "day" if kind is LimitKind.USD_PER_DAY else "month"
        return f"${_dollars(from_picodollars(amount))} a {period}"
    if kind is LimitKind.CONCURRENT_STREAMS:
        return f"{amount:,} request{'s' if amount != 1 else ''} at the same time"
    thing = "request" if kind is LimitKind.REQUESTS_PER_MINUTE else "token"
    return f"{amount:,} {thing}{'s' if amount != 1 else ''} a minute"


def _dollars(amount: Decimal) -> str:
    cents = amount.quantize(Decimal("0.01"))
    return f"{cents if cents == amount else amount:,}"


def _until(allowance: Allowance, now: int) -> str:
    kind = allowance.counter.kind
    if kind is LimitKind.CONCURRENT_STREAMS:
        return "Try again when one of them has ended, or ask an administrator for more."
    end = datetime.fromtimestamp(allowance.window_end // _SECOND, UTC)
    if kind in BUDGETS:
        return f"It can go on from {end:%d %B %Y, %H:%M} UTC, or when an administrator raises the budget."
    seconds = max(1, -(-(allowance.window_end - now) // _SECOND))
    return f"Try again at {end:%H:%M} UTC, in {seconds} second{'s' if seconds != 1 else ''}."


def _is_reserved(allowance: Allowance) -> bool:
    """Whether a limit is not used up yet, but would be if all that runs needs as much as is reserved for it."""
    return allowance.estimated and not allowance.exceeded()


def _headers(allowance: Allowance, now: int) -> tuple[tuple[str, str], ...]:
    if allowance.counter.kind is LimitKind.CONCURRENT_STREAMS or _is_reserved(allowance):
        return ()
    return (("retry-after", str(max(1, -(-(allowance.window_end - now) // _SECOND)))),)
