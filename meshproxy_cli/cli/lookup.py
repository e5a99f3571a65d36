"""One of several things that have an id and a name: API keys, access tokens."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from meshproxy_cli.errors import NotFoundError, UsageError
from meshproxy_cli.suggest import did_you_mean


class Revocable(Protocol):
    """What is picked. Names need not be unique; ids are lower-case UUIDs."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def revoked_at(self) -> datetime | None: ...


T = TypeVar("T", bound=Revocable)


def by_id_or_name(found: Sequence[T], wanted: str, *, kind: str, listed_by: str) -> T:
    """Return the one of that id, else the only valid one of that name.

    `kind` is "API key" or the like, `listed_by` the command that shows them all. Raises `NotFoundError`, and
    `UsageError` where several have the name.
    """
    valid = [one for one in found if one.revoked_at is None]
    same = [one for one in found if one.id == wanted.lower()] or [one for one in valid if one.name == wanted]
    if not same:
        near = did_you_mean(wanted, [one.name for one in valid])
        # What was given may be a secret by mistake: it is not repeated.
        raise NotFoundError(f"there is no {kind} of that id or name{near}", hint=f"`{listed_by}` shows them")
    if len(same) > 1:
        ids = ", ".join(one.id for one in same)
        raise UsageError(f"{len(same)} {kind}s have that name", hint=f"give an id: {ids}")
    return same[0]
