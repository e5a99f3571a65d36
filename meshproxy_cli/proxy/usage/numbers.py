"""Picking numbers and names out of JSON that a provider sent: whatever is odd counts as not there."""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec

from meshproxy_cli.store.events import TokenCounts

Json = Mapping[str, Any]

_EMPTY: Json = {}
_MOST_TOKENS = 10**12
_LONGEST_NAME = 200
_MOST_DOLLARS = 10_000
_TICKS_A_DOLLAR = 10**10
_ANYWHERE = frozenset({"", "global", "not_available"})
_Form = TypeVar("_Form", bound=msgspec.Struct)

Tokens = Annotated[int, msgspec.Meta(ge=0, le=_MOST_TOKENS)] | None


def section(data: Json, *names: str) -> Json:
    """Return the first of these members that is an object; an empty one where none is."""
    for name in names:
        value = data.get(name)
        if isinstance(value, dict):
            return value
    return _EMPTY


def typed(data: Json, form: type[_Form]) -> _Form:
    """Return the members of an object that a form of `Tokens` and nested forms names; what is odd is left out."""
    try:
        return msgspec.convert(data, form)
    except msgspec.ValidationError:
        return msgspec.convert(_fitting(_sensible(data), form), form)


def _fitting(data: Json, form: type[_Form]) -> Json:
    """Return the members that are of the form's types: a number where a number is meant, an object where one is."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        with suppress(msgspec.ValidationError):
            msgspec.convert({name: value}, form)
            found[name] = value
    return found


def _sensible(data: Json) -> Json:
    """Return the members that are sensible numbers, or objects of such."""
    found: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, dict):
            found[name] = _sensible(value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
            found[name] = int(value)
    return found


def are_names(*texts: str) -> bool:
    """Whether these are fit to store as they are (see `name_of`)."""
    whole = "".join(texts)
    return len(whole) <= _LONGEST_NAME and whole.isprintable()


def name_of(data: Json, key: str) -> str:
    """Return that member where it is text, made safe to store: printable, of bounded length."""
    value = data.get(key)
    return storable(value) if isinstance(value, str) else ""


def storable(name: str) -> str:
    """Return a name from outside as it may be stored, logged and shown: printable, of bounded length."""
    if len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    text = name[:_LONGEST_NAME].encode(errors="replace").decode()  # without halves of surrogate pairs
    return "".join(character for character in text if character.isprintable())


def count_of(data: Json, key: str) -> int:
    """Return that member if it is a sensible number, else 0."""
    value = _sensible({key: data.get(key)}).get(key, 0)
    return value if isinstance(value, int) else 0


def region_of(usage: Json) -> str:
    """Return where the model ran, "" if that makes no difference to the price."""
    region = name_of(usage, "inference_geo")
    return "" if region in _ANYWHERE else region


def reported_cost(usage: Json) -> Decimal | None:
    """Return what the provider itself says that the answer costs: OpenRouter, xAI and Perplexity do."""
    ticks = usage.get("cost_in_usd_ticks")
    if (dollars := _dollars(ticks, _TICKS_A_DOLLAR)) is not None:
        return dollars
    cost = usage.get("cost")
    dollars = _dollars(cost.get("total_cost") if isinstance(cost, dict) else cost)
    if dollars is not None and usage.get("is_byok") is True:  # then `cost` is OpenRouter's fee alone
        upstream = _dollars(section(usage, "cost_details").get("upstream_inference_cost"))
        return None if upstream is None else dollars + upstream
    return dollars


def _dollars(value: object, parts: int = 1) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST_DOLLARS * parts:
        return None
    return Decimal(repr(value)) / parts


def summed(one: TokenCounts, other: TokenCounts) -> TokenCounts:
    """Add up two counts."""
    return TokenCounts(**{name: getattr(one, name) + getattr(other, name) for name in TokenCounts.__slots__})


def subtracted(one: TokenCounts, other: TokenCounts) -> TokenCounts:
    """Take one count from another, nothing below zero."""
    return TokenCounts(**{name: max(0, getattr(one, name) - getattr(other, name)) for name in TokenCounts.__slots__})
