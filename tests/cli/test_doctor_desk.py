"""Budgets that are used up, as `doctor` asks for them."""

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.cli.connect import connect
from meshproxy_cli.cli.doctor_desk import CliDesk


@pytest.mark.parametrize(
    ("arguments", "room", "spent"),
    [
        (("usd-per-day", "0", "--room", "a"), "a", "meshproxy limit set usd-per-day 1 --room a"),
        (("usd-per-month", "0"), "a", "meshproxy limit set usd-per-month 1"),
        (("usd-per-day", "0", "--room", "b"), "a", None),
        (("usd-per-day", "5", "--room", "a"), "a", None),
        (("usd-per-day", "0", "--room", "a", "--warn"), "a", None),
    ],
)
def test_spent_budgets(run: InProcess, arguments: tuple[str, ...], room: str, spent: str | None) -> None:
    run("limit", "set", *arguments)
    client = connect()
    try:
        assert [remedy for _, remedy in CliDesk().spent(client, room)] == ([] if spent is None else [spent])
    finally:
        client.close()
