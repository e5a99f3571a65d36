from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import pytest
import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.schema import api_keys
from meshproxy_cli.store.engine.vault import MasterKeyError, master_key_id
from meshproxy_cli.store.records import Actor, ApiKeyRecord, Project
from meshproxy_cli.store.store import Store

Open = Callable[..., Store]


def test_a_key_signs_until_it_is_revoked(store: Store, project: Project) -> None:
    key = store.keys.create(project.id, "laptop", "mine")
    (record,) = store.keys.list(project.id)
    assert (record.id, record.name, record.description, record.revoked_at) == (key.id, "laptop", "mine", None)
    (signing,) = store.keys.signing()
    assert (signing.id, signing.secret, signing.revoked) == (key.id, key.secret, False)

    store.keys.revoke(project.id, key.id)
    (signing,) = store.keys.signing()
    assert signing.revoked
    (record,) = store.keys.list(project.id)
    first = record.revoked_at
    store.keys.revoke(project.id, key.id)
    (record,) = store.keys.list(project.id)
    assert record.revoked_at == first


def test_records_have_no_secret(store: Store, project: Project) -> None:
    key = store.keys.create(project.id, "laptop")
    (record,) = store.keys.list(project.id)
    assert "secret" not in {field.name for field in fields(ApiKeyRecord)}
    assert key.secret not in repr(record) + repr(key) + repr(store.keys.signing())


def test_the_database_does_not_hold_the_secret(store: Store, project: Project) -> None:
    key = store.keys.create(project.id, "laptop")
    with store.session.database.read() as connection:
        stored = connection.execute(sa.select(api_keys)).one()
    assert key.secret.encode() not in b"".join(
        value if isinstance(value, bytes) else str(value).encode() for value in stored
    )


def test_what_does_not_exist_is_said(store: Store, project: Project) -> None:
    with pytest.raises(NotFoundError):
        store.keys.revoke(project.id, "nothing")
    with pytest.raises(NotFoundError):
        store.keys.create("no project", "name")
    key = store.keys.create(project.id, "name")
    with pytest.raises(NotFoundError):
        store.keys.revoke(store.projects.ensure("other").id, key.id)
    (signing,) = store.keys.signing()
    assert not signing.revoked


def test_another_master_key_neither_reads_nor_adds_keys(store: Store, project: Project, open_another: Open) -> None:
    store.keys.create(project.id, "first")
    stranger = open_another(master_key=b"x" * 32)
    with pytest.raises(MasterKeyError, match="another master key"):
        stranger.keys.signing()
    with pytest.raises(MasterKeyError, match="another master key"):
        stranger.keys.create(project.id, "second")
    without = open_another(master_key=None)
    with pytest.raises(MasterKeyError, match="without its master key"):
        without.keys.signing()
    assert len(without.keys.list(project.id)) == 1


def test_of_machines_that_start_together_one_claims_the_database(store: Store, open_another: Open) -> None:
    machines = [open_another(master_key=bytes([number]) * 32) for number in range(4)]

    def claim(machine: Store) -> str:
        try:
            machine.keys.claim_master_key()
        except MasterKeyError as problem:
            return problem.message
        return "claimed"

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(claim, machines))
    assert sorted(result == "claimed" for result in results) == [False, False, False, True]
    assert store.keys.master_key_id() == master_key_id(bytes([results.index("claimed")]) * 32)
    assert claim(machines[results.index("claimed")]) == "claimed"


def test_rotation_moves_every_secret_and_running_servers_follow(
    store: Store, project: Project, open_another: Open, master_key: bytes
) -> None:
    made = {store.keys.create(project.id, f"key {n}") for n in range(3)}
    new = b"n" * 32
    running = open_another(load_master_keys=lambda _: [new, master_key])
    rotating = open_another(master_key=[new, master_key]).acting_as(Actor(name="ann", origin="test"))
    before = store.changes.revision()
    assert rotating.keys.rotate_master_key() == 3
    assert rotating.keys.rotate_master_key() == 0
    assert store.changes.revision() != before

    secrets = {key.secret for key in made}
    assert {key.secret for key in running.keys.signing()} == secrets
    assert {key.secret for key in open_another(master_key=new).keys.signing()} == secrets
    with pytest.raises(MasterKeyError):
        open_another(master_key=master_key).keys.signing()
    (entry,) = rotating.audit.list()
    assert (entry.action, entry.actor, entry.details) == ("master_key.rotate", "ann", {"keys": "3"})


def test_a_damaged_key_is_got_rid_of_by_revoking_it(store: Store, project: Project) -> None:
    good, bad = (store.keys.create(project.id, name) for name in ("good", "bad"))
    with store.session.database.write() as connection:
        connection.execute(sa.update(api_keys).where(api_keys.c.id == bad.id).values(sealed_secret=b"x" * 40))
    with pytest.raises(MasterKeyError, match=bad.id):
        store.keys.signing()
    store.keys.revoke(project.id, bad.id)
    assert [key.id for key in store.keys.signing()] == [good.id]


def test_keys_made_while_the_master_key_is_rotated_can_all_be_read(
    store: Store, project: Project, open_another: Open, master_key: bytes
) -> None:
    new = [bytes([number]) * 32 for number in range(4)]
    everything = [*new, master_key]
    workers = [open_another(master_key=None, load_master_keys=lambda current: _first(everything, current))] * 2

    def rotate(number: int) -> None:
        open_another(master_key=[new[number], *everything]).keys.rotate_master_key()

    store.keys.create(project.id, "first")
    with ThreadPoolExecutor(6) as pool:
        rotations = [pool.submit(rotate, number) for number in range(4)]
        made = [pool.submit(workers[n % 2].keys.create, project.id, str(n)) for n in range(20)]
        for each in (*rotations, *made):
            each.result()
    assert len(open_another(master_key=everything).keys.signing()) == 21
    with store.session.database.read() as connection:
        under = set(connection.execute(sa.select(api_keys.c.master_key_id)).scalars())
    assert under == {store.keys.master_key_id()}


def _first(keys: list[bytes], wanted: str | None) -> list[bytes]:
    """Give the keys as a server has them after a rotation: the one in force first."""
    return sorted(keys, key=lambda key: master_key_id(key) != wanted)


def test_a_swapped_row_opens_nothing(store: Store, project: Project) -> None:
    first, second = (store.keys.create(project.id, name) for name in ("first", "second"))
    with store.session.database.write() as connection:
        stolen = connection.execute(sa.select(api_keys.c.sealed_secret).where(api_keys.c.id == first.id)).scalar_one()
        connection.execute(sa.update(api_keys).where(api_keys.c.id == second.id).values(sealed_secret=stolen))
    with pytest.raises(MasterKeyError, match="changed outside"):
        store.keys.signing()
