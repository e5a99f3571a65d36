"""What a machine hands in of whose answers are whose: all of it, that which is to be shared, after crashes too."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.ownership import owners as module
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.ownership.shipper import OwnerShipper, is_shared
from meshproxy_cli.store import open_store
from meshproxy_cli.store.errors import StoreUnavailableError
from meshproxy_cli.store.store import Store

CALLER = Caller("p", "r", "s", "ana", "k", "", None)


class Gate:
    """A store that can be away."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.away = False
        self.asked = 0

    def record(self, owners: Mapping[str, str]) -> None:
        self.asked += 1
        if self.away:
            raise StoreUnavailableError("it is away")
        self.store.owners.record(owners)

    def knows(self, *idents: str) -> list[bool]:
        keys = [Owners.key(ident).decode() for ident in idents]
        found = self.store.owners.find(keys)
        return [key in found for key in keys]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    store = open_store(f"sqlite:///{tmp_path}/meshproxy.db")
    yield Gate(store)
    store.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_what_workers_note_is_handed_in_once(gate: Gate, directory: Path) -> None:
    one, two = Owners(directory, 0), Owners(directory, 1)
    shipper = OwnerShipper(directory, gate)  # type: ignore[arg-type]  # the part of a store that it uses
    assert shipper.run_once() == 0
    one.record(CALLER, "resp_1")
    two.record(CALLER, "resp_2")
    two.record(CALLER, "resp_here", shared=False)
    assert shipper.run_once() == 3
    assert gate.knows("resp_1", "resp_2", "resp_here") == [True, True, False]
    assert two.owns(CALLER, "resp_here")
    assert one.owns(CALLER, "resp_here")
    assert shipper.run_once() == 0
    one.record(CALLER, "resp_3")
    again = OwnerShipper(directory, gate)  # type: ignore[arg-type]  # as above
    assert again.run_once() == 1, "it goes on where the last one stopped"
    assert gate.knows("resp_3") == [True]
    one.close()
    two.close()


def test_another_machine_finds_the_room(gate: Gate, directory: Path, tmp_path: Path) -> None:
    here, there = Owners(directory, 0), Owners(tmp_path / "there", 0)
    here.record(CALLER, "resp_1")
    OwnerShipper(directory, gate).run_once()  # type: ignore[arg-type]  # as above
    key = Owners.key("resp_1")
    assert not there.knows("resp_1")
    there.learn(key, gate.store.owners.find([key.decode()])[key.decode()].encode())
    assert there.owns(CALLER, "resp_1")
    assert not there.owns(Caller("p", "other", "s", "ana", "k", "", None), "resp_1")
    here.close()
    there.close()


def test_a_store_that_is_away_gets_it_later_and_is_not_asked_all_the_time(gate: Gate, directory: Path) -> None:
    now = 0.0
    owners = Owners(directory, 0)
    shipper = OwnerShipper(directory, gate, clock=lambda: now)  # type: ignore[arg-type]  # as above
    owners.record(CALLER, "resp_1")
    gate.away = True
    for _ in range(100):
        assert shipper.run_once() == 0
        now += 0.1
    assert gate.asked in range(3, 8)
    gate.away = False
    now += 20
    assert shipper.run_once() == 1
    assert gate.knows("resp_1") == [True]
    owners.close()


def test_files_that_get_another_name_and_torn_lines(
    gate: Gate, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LARGEST_FILE", 65 * 10)
    owners = Owners(directory, 0)
    shipper = OwnerShipper(directory, gate)  # type: ignore[arg-type]  # as above
    idents = [f"resp_{number}" for number in range(60)]
    for ident in idents:
        owners.record(CALLER, ident)
        shipper.run_once()
    owners.close()
    assert all(gate.knows(*idents))
    file = directory / "0.owners"
    with file.open("ab") as half:
        half.write(b"0" * 40)
    assert shipper.run_once() == 0, "a line that is being written"
    owners = Owners(directory, 0)
    owners.record(CALLER, "resp_last")
    shipper.run_once()
    assert gate.knows("resp_last") == [True]
    owners.close()


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"1": "x"}', b"{"])
def test_where_it_does_not_know_how_far_it_was_it_begins_anew(gate: Gate, directory: Path, content: bytes) -> None:
    owners = Owners(directory, 0)
    owners.record(CALLER, "resp_1")
    (directory / "owners.sent").write_bytes(content)
    assert OwnerShipper(directory, gate).run_once() == 1  # type: ignore[arg-type]  # as above
    owners.close()


def test_which_databases_are_shared() -> None:
    assert is_shared("postgresql://db/x")
    assert not is_shared("sqlite:///x")
