"""Ids of other machines: found, nobody's, or not to be looked up now; and nobody waits for ever."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.ownership import lookup as ownerlookup
from meshproxy_cli.proxy.ownership.lookup import Found, OwnerLookup
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.ownership.shipper import OwnerShipper
from meshproxy_cli.store import open_store
from meshproxy_cli.store.errors import StoreUnavailableError

CALLER = Caller("p", "r", "s", "ana", "k", "", None)


class Machines:
    """A machine that notes answers, and another that looks them up."""

    def __init__(self, directory: Path) -> None:
        self.store = open_store(f"sqlite:///{directory}/meshproxy.db")
        self.here = Owners(directory / "here", 0)
        self.there = Owners(directory / "there", 0)
        self._shipper = OwnerShipper(directory / "there", self.store.owners)
        self.away = False
        self.asked: list[int] = []
        self.open = threading.Event()
        self.open.set()

    def find(self, ids: Iterable[str]) -> Mapping[str, str]:
        wanted = list(ids)
        self.asked.append(len(wanted))
        self.open.wait(20)
        if self.away:
            raise StoreUnavailableError("it is away")
        return self.store.owners.find(wanted)

    def record(self, ident: str) -> None:
        self.there.record(CALLER, ident)
        self._shipper.run_once()

    def ask(self, *idents: str, meanwhile: Callable[[], None] = lambda: None) -> list[Found]:
        return asyncio.run(self._ask(idents, meanwhile))

    async def _ask(self, idents: tuple[str, ...], meanwhile: Callable[[], None]) -> list[Found]:
        loop = asyncio.get_running_loop()
        lookup = OwnerLookup(self, self.here, loop)  # type: ignore[arg-type]  # the part of a store that it uses
        lookup.start()
        answers: list[asyncio.Future[Found]] = [loop.create_future() for _ in idents]
        for ident, answer in zip(idents, answers, strict=True):
            lookup.ask(ident, answer.set_result)
        await loop.run_in_executor(None, meanwhile)
        found = await asyncio.wait_for(asyncio.gather(*answers), 30)
        await loop.run_in_executor(None, lookup.stop)
        return found


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machines]:
    monkeypatch.setattr(ownerlookup, "PATIENCE_S", 0.5)
    made = Machines(tmp_path)
    yield made
    made.here.close()
    made.there.close()
    made.store.close()


def test_what_another_machine_noted_is_known_from_then_on(machines: Machines) -> None:
    machines.record("resp_1")
    assert not machines.here.knows("resp_1")
    assert machines.ask("resp_1") == [Found.KNOWN]
    assert machines.here.owns(CALLER, "resp_1")
    assert not machines.here.owns(Caller("p", "other", "s", "ana", "k", "", None), "resp_1")


def test_what_nobody_noted_is_looked_for_a_while(machines: Machines) -> None:
    machines.record("resp_1")
    assert machines.ask("resp_2", "resp_1") == [Found.NOBODYS, Found.KNOWN]
    assert len(machines.asked) > 1


def test_what_is_handed_in_a_moment_later_is_found(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownerlookup, "PATIENCE_S", 20.0)
    assert machines.ask("resp_1", meanwhile=lambda: machines.record("resp_1")) == [Found.KNOWN]


def test_a_store_that_is_away_is_told_at_once(machines: Machines) -> None:
    machines.away = True
    assert machines.ask("resp_1") == [Found.AWAY]
    machines.away = False
    machines.record("resp_1")
    assert machines.ask("resp_1") == [Found.KNOWN]


def test_many_are_asked_for_together_and_too_many_not_at_all(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownerlookup, "_MOST_WAITING", 30)
    machines.open.clear()
    found = machines.ask(*(f"resp_{number}" for number in range(80)), meanwhile=machines.open.set)
    assert found.count(Found.AWAY) in range(20, 51)
    assert found.count(Found.NOBODYS) == 80 - found.count(Found.AWAY)
    assert len(machines.asked) < 20


def test_who_waits_at_the_end_hears_so(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownerlookup, "PATIENCE_S", 1000.0)

    async def run() -> Found:
        loop = asyncio.get_running_loop()
        lookup = OwnerLookup(machines, machines.here, loop)  # type: ignore[arg-type]  # as above
        lookup.start()
        answer: asyncio.Future[Found] = loop.create_future()
        lookup.ask("resp_1", answer.set_result)
        await loop.run_in_executor(None, lookup.stop)
        late: asyncio.Future[Found] = loop.create_future()
        lookup.ask("resp_2", late.set_result)
        assert await asyncio.wait_for(late, 20) is Found.AWAY
        return await asyncio.wait_for(answer, 20)

    assert asyncio.run(run()) is Found.AWAY


def test_several_ids_have_one_answer(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownerlookup, "PATIENCE_S", 0.0)
    monkeypatch.setattr(ownerlookup, "_AT_ONCE", 1)
    machines.record("resp_1")
    machines.record("resp_2")

    async def run(*idents: str) -> Found:
        loop = asyncio.get_running_loop()
        lookup = OwnerLookup(machines, machines.here, loop)  # type: ignore[arg-type]  # as above
        lookup.start()
        answer: asyncio.Future[Found] = loop.create_future()
        lookup.ask_all(idents, answer.set_result)
        found = await asyncio.wait_for(answer, 20)
        await loop.run_in_executor(None, lookup.stop)
        return found

    assert asyncio.run(run("resp_1", "resp_2")) is Found.KNOWN
    assert asyncio.run(run("resp_1", "resp_3")) is Found.NOBODYS
    assert machines.here.owns(CALLER, "resp_2")
