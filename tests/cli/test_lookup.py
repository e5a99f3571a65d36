"""Picking by id or name."""

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from meshproxy_cli.cli.lookup import by_id_or_name
from meshproxy_cli.errors import NotFoundError, UsageError


@dataclass(frozen=True)
class Thing:
    id: str
    name: str
    revoked_at: datetime | None = None


REVOKED = Thing("d", "old", datetime(2026, 11, 1, tzinfo=UTC))
THINGS = (Thing("a", "laptop"), Thing("b", "ci"), Thing("c", "ci"), REVOKED, Thing("e", "a"))


def pick(wanted: str) -> Thing:
    return by_id_or_name(THINGS, wanted, kind="API key", listed_by="meshproxy api-key list")


def test_an_id_goes_before_a_name() -> None:
    assert pick("A") == THINGS[0]
    assert pick("laptop") == THINGS[0]
    assert pick("d") == REVOKED, "by its id a revoked one can be meant"


def test_what_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="of that id or name; did you mean laptop") as refusal:
        pick("lptop")
    assert "lptop" not in refusal.value.message
    assert "meshproxy api-key list" in str(refusal.value.hint)
    with pytest.raises(NotFoundError):
        pick("old")


def test_a_name_that_several_have() -> None:
    with pytest.raises(UsageError, match="2 API keys have that name") as refusal:
        pick("ci")
    assert refusal.value.hint == "give an id: b, c"
