"""Which room an id belongs to."""

from pathlib import Path

import pytest

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.ownership import owners as module
from meshproxy_cli.proxy.ownership.owners import Owners
from meshproxy_cli.proxy.usage.reading import AnswerItem


def caller(room: str = "r", project: str = "p") -> Caller:
    return Caller(project, room, "s", "ana", "k", "", None)


def test_an_id_belongs_to_the_room_that_got_it(tmp_path: Path) -> None:
    owners = Owners(tmp_path, 0)
    owners.record(caller(), "resp_1")
    assert owners.owns(caller(), "resp_1")
    assert not owners.owns(caller("other"), "resp_1")
    assert not owners.owns(caller(project="q"), "resp_1")
    assert not owners.owns(caller(), "resp_2")
    owners.close()


@pytest.mark.parametrize(("project", "room"), [("p\0a", "b"), ("p", "a\0b")])
def test_names_cannot_be_cut_elsewhere(tmp_path: Path, project: str, room: str) -> None:
    owners = Owners(tmp_path, 0)
    owners.record(Caller("p", "a", "s", "x", "k", "", None), "resp_1")
    assert not owners.owns(Caller(project, room, "s", "x", "k", "", None), "resp_1")
    owners.close()


def test_no_id_is_no_id(tmp_path: Path) -> None:
    owners = Owners(tmp_path, 0)
    owners.record(caller(), "")
    assert not owners.owns(caller(), "")
    owners.close()


def test_ids_outlive_a_restart(tmp_path: Path) -> None:
    first = Owners(tmp_path, 0)
    first.record(caller(), "resp_1")
    first.close()
    second = Owners(tmp_path, 0)
    assert second.owns(caller(), "resp_1")
    second.close()


def test_workers_know_each_others_ids(tmp_path: Path) -> None:
    one, two = Owners(tmp_path, 0), Owners(tmp_path, 1)
    assert not two.owns(caller(), "resp_1")
    one.record(caller(), "resp_1")
    assert two.owns(caller(), "resp_1")
    one.record(caller("other"), "resp_2")
    assert not two.owns(caller(), "resp_2")
    one.close()
    two.close()


def test_the_files_tell_nothing_and_are_private(tmp_path: Path) -> None:
    owners = Owners(tmp_path / "spool", 0)
    owners.record(caller("secret-room"), "resp_secret")
    owners.close()
    file = tmp_path / "spool" / "0.owners"
    assert b"secret" not in file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0


def test_a_torn_line_is_not_read_as_another(tmp_path: Path) -> None:
    owners = Owners(tmp_path, 0)
    owners.record(caller(), "resp_1")
    owners.close()
    file = tmp_path / "0.owners"
    file.write_bytes(file.read_bytes()[:-10])
    again = Owners(tmp_path, 0)
    assert not again.owns(caller(), "resp_1")
    again.record(caller(), "resp_2")
    again.close()
    third = Owners(tmp_path, 1)
    assert third.owns(caller(), "resp_2")
    third.close()


def test_files_stay_small_and_what_is_old_is_still_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST_FILE", 65 * 10)
    one, two = Owners(tmp_path, 0), Owners(tmp_path, 1)
    for number in range(15):
        one.record(caller(), f"resp_{number}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.old.owners", "0.owners", "1.owners"]
    assert all(two.owns(caller(), f"resp_{number}") for number in range(15))
    one.close()
    two.close()


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_IDS", 10)
    owners = Owners(tmp_path, 0)
    for number in range(50):
        owners.record(caller(), f"resp_{number}")
    assert len(owners._known) == 10
    assert owners.owns(caller(), "resp_49")
    owners.close()


def test_a_full_disk_fails_no_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = Owners(tmp_path, 0)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", full)
        owners.record(caller(), "resp_1")
    assert owners.owns(caller(), "resp_1")
    owners.close()


def test_an_answer_brings_its_items(tmp_path: Path) -> None:
    owners = Owners(tmp_path, 0)
    items = (AnswerItem("msg_1", whole=True), AnswerItem("ig_1", whole=False))
    owners.record_answer(caller(), "resp_1", items, stored=True)
    owners.record_answer(
        caller(), "resp_2", (AnswerItem("msg_2", whole=True), AnswerItem("ig_2", whole=False)), stored=False
    )
    owners.record_answer(caller(), "", (), stored=True)
    again = Owners(tmp_path, 1)
    for known in (owners, again):
        assert [known.owns(caller(), ident) for ident in ("resp_1", "msg_1", "ig_1")] == [True] * 3
        assert [known.owns(caller(), ident) for ident in ("resp_2", "msg_2", "ig_2")] == [True, False, True]
        assert not known.owns(caller("other"), "ig_1")
    lines = (tmp_path / f"0{module.SUFFIX}").read_bytes().splitlines()
    assert [line[32:33] for line in lines] == [module.SHARED] * 3 + [module.OWN, module.SHARED]
    owners.close()
    again.close()


def test_an_id_stays_with_the_room_that_got_it_first(tmp_path: Path) -> None:
    owners = Owners(tmp_path, 0)
    owners.record(caller(), "resp_1")
    owners.record(caller("other"), "resp_1")
    assert owners.owns(caller(), "resp_1")
    assert not owners.owns(caller("other"), "resp_1")
    owners.close()
