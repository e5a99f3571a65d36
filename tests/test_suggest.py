"""The nearest known name."""

import pytest

from meshproxy_cli.suggest import did_you_mean, nearest, nearest_names

KNOWN = ("research", "Backend", "frontend")


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("reserch", "research"), ("backend", "Backend"), ("FRONTED", "frontend"), ("xyz", None), ("", None)],
)
def test_nearest(wrong: str, near: str | None) -> None:
    assert nearest(wrong, KNOWN) == near
    assert nearest(wrong, ()) is None
    assert did_you_mean(wrong, KNOWN) == (f"; did you mean {near}?" if near else "")


def test_two_that_are_near() -> None:
    assert nearest_names("servre", ("serve", "server", "usage")) == ("serve", "server")
