"""Whose an answer is, on every engine."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from meshproxy_cli.store.store import Store


def test_owners_are_found_by_id_wherever_they_were_noted(store: Store, open_another: Callable[..., Store]) -> None:
    store.owners.record({"one": "room a", "two": "room b"})
    store.owners.record({})
    assert open_another().owners.find(["two", "one", "three"]) == {"one": "room a", "two": "room b"}
    assert store.owners.find([]) == {}


def test_the_first_owner_stays(store: Store) -> None:
    store.owners.record({"one": "room a"})
    store.owners.record({"one": "room b", "two": "room b"})
    assert store.owners.find(["one", "two"]) == {"one": "room a", "two": "room b"}


def test_machines_that_hand_in_the_same_ones_do_not_wait_for_each_other(
    store: Store, open_another: Callable[..., Store]
) -> None:
    ids = [f"{number:032x}" for number in range(500)]
    stores = [store, open_another(), open_another()]

    def hand_in(one: Store) -> None:
        for _ in range(5):
            one.owners.record(dict.fromkeys(reversed(ids), "room a"))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(hand_in, stores))
    assert len(store.owners.find(ids)) == 500


def test_old_ones_are_forgotten(store: Store) -> None:
    store.owners.record({"one": "room a"})
    now = datetime.now(UTC)
    assert store.owners.prune(now - timedelta(minutes=5)) == 0
    assert store.owners.prune(now + timedelta(minutes=5)) == 1
    assert store.owners.find(["one"]) == {}
