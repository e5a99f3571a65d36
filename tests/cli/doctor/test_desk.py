"""Budgets that are used up, as `doctor` asks for them."""

import re

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.doctor.desk import CliDesk

DAY, MONTH, RATE = "usd-per-day", "usd-per-month", "requests-per-minute"


@pytest.mark.parametrize(
    ("arguments", "spent"),
    [
        ((DAY, "0", "--room", "a"), f"meshproxy limit set {DAY} 1 --room a"),
        ((DAY, "0", "--room", "*"), f"meshproxy limit set {DAY} 1 --room '*'"),
        ((DAY, "0", "--session", "s"), f"meshproxy limit set {DAY} 1 --session s"),
        ((DAY, "0", "--participant", "ada"), f"meshproxy limit set {DAY} 1 --participant ada"),
        ((MONTH, "0"), f"meshproxy limit set {MONTH} 1"),
        ((RATE, "0", "--room", "a"), f"meshproxy limit set {RATE} 61 --room a"),
        ((RATE, "1", "--room", "a"), None),
        ((DAY, "0", "--room", "b"), None),
        ((DAY, "0", "--session", "t"), None),
        ((DAY, "0", "--participant", "bob"), None),
        ((DAY, "5", "--room", "a"), None),
        ((DAY, "0", "--room", "a", "--warn"), None),
    ],
)
def test_spent_limits(run: InProcess, arguments: tuple[str, ...], spent: str | None) -> None:
    run("limit", "set", *arguments)
    client = connect()
    try:
        found = CliDesk().spent(client, "a", ("s",), "ada")
    finally:
        client.close()
    assert [remedy for _, remedy in found] == ([] if spent is None else [spent])
    if found and arguments[0] != RATE:
        assert re.search(r"; it can go on from \d\d \w+ 20\d\d, 00:00 UTC$", found[0][0])
