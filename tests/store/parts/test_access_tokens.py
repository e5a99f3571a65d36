import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.schema import access_tokens
from meshproxy_cli.store.parts import access_tokens as module
from meshproxy_cli.store.records import Actor, AuditEntry, Role
from meshproxy_cli.store.store import SqlStore


def test_a_token_opens_until_it_is_revoked(store: SqlStore) -> None:
    token, text = store.create_access_token("dashboard", Role.VIEWER)
    assert re.fullmatch(r"mpa_[\w-]{43}", text)
    found = store.check_access_token(text)
    assert found is not None
    assert (found.id, found.name, found.role) == (token.id, "dashboard", Role.VIEWER)
    for wrong in ("", "mpa_", text[:-1], text + "x", text.upper(), "\udcff"):
        assert store.check_access_token(wrong) is None
    store.revoke_access_token(token.id)
    store.revoke_access_token(token.id)
    assert store.check_access_token(text) is None
    (listed,) = store.access_tokens()
    assert listed.revoked_at is not None
    with pytest.raises(NotFoundError):
        store.revoke_access_token("nothing")


def test_only_a_hash_is_stored(store: SqlStore) -> None:
    _, text = store.create_access_token("dashboard", Role.ADMIN)
    with store.database.read() as connection:
        row = connection.execute(sa.select(access_tokens)).one()
    assert text.removeprefix("mpa_").encode() not in b"".join(
        value if isinstance(value, bytes) else str(value).encode() for value in row
    )


def test_use_is_noted_once_a_minute(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = store.create_access_token("dashboard", Role.ADMIN)
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    seen = []
    for seconds in (0, 30, 59, 60, 61):
        moment = now + timedelta(seconds=seconds)
        monkeypatch.setattr(module, "now_micros", lambda moment=moment: module.to_micros(moment))
        store.check_access_token(text)
        seen.append(store.access_tokens()[0].last_used_at)
    assert seen == [now, now, now, now + timedelta(seconds=60), now + timedelta(seconds=60)]


def test_noting_use_is_no_change_of_control_data(store: SqlStore) -> None:
    _, text = store.create_access_token("dashboard", Role.ADMIN)
    before = store.change_token()
    store.check_access_token(text)
    assert store.change_token() == before


def test_the_audit_log_has_changes_and_never_a_secret(store: SqlStore) -> None:
    acting = store.acting_as(Actor(name="ann", origin="test"))
    project = acting.ensure_project("team")
    key = acting.create_api_key(project.id, "laptop")
    acting.revoke_api_key(project.id, key.id)
    acting.revoke_api_key(project.id, key.id)
    token, text = acting.create_access_token("dashboard", Role.VIEWER)
    acting.revoke_access_token(token.id)
    entries = store.audit_entries()
    assert [entry.action for entry in entries] == [
        "access_token.revoke",
        "access_token.create",
        "api_key.revoke",
        "api_key.create",
        "project.create",
    ]
    assert key.secret not in repr(entries)
    assert text not in repr(entries)
    assert [entry.action for entry in store.audit_entries(limit=1)] == ["access_token.revoke"]


def test_a_change_that_fails_leaves_no_audit_entry(store: SqlStore) -> None:
    acting = store.acting_as(Actor(name="ann", origin="test"))
    with pytest.raises(NotFoundError):
        acting.revoke_access_token("nothing")
    assert store.audit_entries() == ()


def test_an_entry_of_its_own(store: SqlStore) -> None:
    entry = AuditEntry(
        at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        actor="ann",
        action="config.reload",
        target="server.toml",
        origin="signal",
        details={"providers": "3"},
    )
    store.audit(entry)
    assert store.audit_entries() == (entry,)
