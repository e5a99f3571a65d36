"""Limits as they are written on the command line and shown."""

from decimal import Decimal, InvalidOperation
from typing import Any

from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.records import BUDGETS, Limit, LimitKind, LimitScope, wrong_amount
from meshproxy_cli.suggest import did_you_mean

_UNITS = {
    LimitKind.REQUESTS_PER_MINUTE: "{:,f} requests a minute",
    LimitKind.TOKENS_PER_MINUTE: "{:,f} tokens a minute",
    LimitKind.CONCURRENT_STREAMS: "{:,f} requests at the same time",
    LimitKind.USD_PER_DAY: "${:,f} a day",
    LimitKind.USD_PER_MONTH: "${:,f} a month",
}


def option(kind: LimitKind) -> str:
    """Return a kind as it is written on the command line."""
    return kind.value.replace("_", "-")


def parse_kind(text: str) -> LimitKind:
    """Return the kind that is meant; raise `UsageError`."""
    known = [option(kind) for kind in LimitKind]
    try:
        return LimitKind(text.lower().replace("-", "_"))
    except ValueError:
        raise UsageError(
            f"{text!r} is no kind of limit{did_you_mean(text, known)}", hint=f"one of: {', '.join(known)}"
        ) from None


def parse_amount(text: str, kind: LimitKind) -> Decimal:
    """Return an amount that makes sense for the kind; raise `UsageError`."""
    try:
        amount = Decimal(text.removeprefix("$").replace(",", "").replace("_", ""))
    except InvalidOperation:
        raise UsageError(f"{text!r} is no number") from None
    if problem := wrong_amount(kind, amount):
        raise UsageError(f"{problem}, not {text}")
    return amount


def whose(limit: Limit) -> str:
    """Return who is limited."""
    if limit.scope is LimitScope.PROJECT:
        return "the project"
    return f"each {limit.scope.value}" if limit.subject == "*" else f"{limit.scope.value} {limit.subject}"


def what(limit: Limit) -> str:
    """Return what is allowed, and whether more is refused."""
    amount = _UNITS[limit.kind].format(_plain(limit.amount, money=limit.kind in BUDGETS))
    return amount if limit.hard else f"{amount} (warns only)"


def describe(limit: Limit) -> str:
    """Return the whole limit in words."""
    return f"{whose(limit)}: {what(limit)}"


def limit_json(limit: Limit) -> dict[str, Any]:
    """Return the limit as JSON."""
    return {
        "scope": limit.scope.value,
        "subject": limit.subject,
        "kind": limit.kind.value,
        "amount": f"{limit.amount:f}",
        "hard": limit.hard,
    }


def _plain(amount: Decimal, *, money: bool) -> Decimal:
    cents = amount.quantize(Decimal("0.01"))
    if money and cents == amount:
        return cents
    return amount.quantize(Decimal(1)) if amount == amount.to_integral_value() else amount.normalize()
