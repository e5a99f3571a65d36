import os

import pytest

from meshproxy_cli.errors import UsageError
from meshproxy_cli.store.engine.vault import MasterKeyError, Vault, encode_master_keys, master_key_id, parse_master_keys

OLD, NEW = b"o" * 32, b"n" * 32
IDS = {"key_id": "k1", "project_id": "p1"}


def seal(vault: Vault, secret: str) -> bytes:
    return vault.seal(secret, vault.sealing_key_id(None), **IDS)


def test_opens_what_it_sealed() -> None:
    vault = Vault([OLD])
    sealed = seal(vault, "secret")
    assert b"secret" not in sealed
    assert vault.open(sealed, master_key_id(OLD), **IDS) == "secret"


def test_seals_differently_each_time() -> None:
    vault = Vault([OLD])
    assert seal(vault, "secret") != seal(vault, "secret")


@pytest.mark.parametrize("other", [{"key_id": "k2", "project_id": "p1"}, {"key_id": "k1", "project_id": "p2"}])
def test_refuses_a_secret_moved_to_another_row(other: dict[str, str]) -> None:
    vault = Vault([OLD])
    with pytest.raises(MasterKeyError, match="changed outside"):
        vault.open(seal(vault, "secret"), master_key_id(OLD), **other)


@pytest.mark.parametrize("position", [0, 12, -1])
def test_refuses_a_changed_byte(position: int) -> None:
    vault = Vault([OLD])
    sealed = bytearray(seal(vault, "secret"))
    sealed[position] ^= 1
    with pytest.raises(MasterKeyError, match="changed outside"):
        vault.open(bytes(sealed), master_key_id(OLD), **IDS)


def test_several_keys_open_and_the_one_in_force_seals() -> None:
    old, both = Vault([OLD]), Vault([NEW, OLD])
    assert both.open(seal(old, "secret"), master_key_id(OLD), **IDS) == "secret"
    assert both.sealing_key_id(master_key_id(OLD)) == master_key_id(OLD)
    assert both.newest_key_id(master_key_id(OLD)) == master_key_id(NEW)
    assert both.sealing_key_id(None) == master_key_id(NEW)
    with pytest.raises(MasterKeyError, match="another master key"):
        old.open(seal(both, "secret"), master_key_id(NEW), **IDS)


def test_a_database_under_an_unknown_key_is_not_sealed_with_another() -> None:
    with pytest.raises(MasterKeyError, match="another master key"):
        Vault([NEW]).sealing_key_id(master_key_id(OLD))


def test_without_a_key_says_how_to_give_one() -> None:
    with pytest.raises(MasterKeyError) as caught:
        Vault([]).sealing_key_id(None)
    assert "MESHPROXY_MASTER_KEY" in str(caught.value.hint)


def test_loads_keys_only_when_needed_and_again_after_a_rotation() -> None:
    asked: list[str | None] = []
    keys = [[OLD], [NEW, OLD]]

    def load(current: str | None) -> list[bytes]:
        asked.append(current)
        return keys.pop(0)

    vault = Vault([], load=load)
    assert asked == []
    sealed = seal(Vault([OLD]), "a")
    vault.open(sealed, master_key_id(OLD), **IDS)
    vault.open(sealed, master_key_id(OLD), **IDS)
    assert asked == [master_key_id(OLD)]
    assert vault.open(seal(Vault([NEW]), "b"), master_key_id(NEW), **IDS) == "b"
    assert asked == [master_key_id(OLD), master_key_id(NEW)]


def test_text_form_round_trips() -> None:
    keys = (os.urandom(32), os.urandom(32))
    assert parse_master_keys(encode_master_keys(keys), source="test") == keys


@pytest.mark.parametrize("text", ["", "  ", "short", "not base64 at all!", encode_master_keys([b"x" * 31])])
def test_a_malformed_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_master_keys(text, source="THE_SOURCE")
    assert "THE_SOURCE" in caught.value.message
    assert not text.strip() or text not in caught.value.message
