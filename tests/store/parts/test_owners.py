"""Whose an answer is, on every engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from meshproxy_cli.store.store import SqlStore


def test_owners_are_found_by_id_wherever_they_were_noted(
    store: SqlStore, open_another: Callable[..., SqlStore]
) -> None:
    store.add_owners({"one": "room a", "two": "room b"})
    store.add_owners({})
    assert open_another().owners(["two", "one", "three"]) == {"one": "room a", "two": "room b"}
    assert store.owners([]) == {}


def test_the_first_owner_stays(store: SqlStore) -> None:
    store.add_owners({"one": "room a"})
    store.add_owners({"one": "room b", "two": "room b"})
    assert store.owners(["one", "two"]) == {"one": "room a", "two": "room b"}


def test_machines_that_hand_in_the_same_ones_do_not_wait_for_each_other(
    store: SqlStore, open_another: Callable[..., SqlStore]
) -> None:
    ids = [f"{number:032x}" for number in range(500)]
    stores = [store, open_another(), open_another()]

    def hand_in(one: SqlStore) -> None:
        for _ in range(5):
            one.add_owners(dict.fromkeys(reversed(ids), "room a"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(hand_in, stores))
    assert len(store.owners(ids)) == 500


def test_old_ones_are_forgotten(store: SqlStore) -> None:
    store.add_owners({"one": "room a"})
    now = datetime.now(UTC)
    assert store.prune_owners(now - timedelta(minutes=5)) == 0
    assert store.prune_owners(now + timedelta(minutes=5)) == 1
    assert store.owners(["one"]) == {}
