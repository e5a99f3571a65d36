"""The list of checks is in the order of the chain."""

from meshproxy_cli.doctor.registry import CHECKS


def test_ids_are_unique_and_causes_come_first() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert check.id not in seen
        assert set(check.after) <= seen, f"{check.id} comes before what it depends on"
        seen.add(check.id)


def test_live_checks_need_the_network() -> None:
    assert all(check.network for check in CHECKS if check.live)
