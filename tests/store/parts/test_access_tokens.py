import re
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.engine.schema import access_tokens
from meshproxy_cli.store.parts import access_tokens as module
from meshproxy_cli.store.records import Role
from meshproxy_cli.store.store import Store


def test_a_token_opens_until_it_is_revoked(store: Store) -> None:
    token, text = store.access_tokens.create("dashboard", Role.VIEWER)
    assert re.fullmatch(r"mpa_[\w-]{43}", text)
    found = store.access_tokens.check(text)
    assert found is not None
    assert (found.id, found.name, found.role) == (token.id, "dashboard", Role.VIEWER)
    for wrong in ("", "mpa_", text[:-1], text + "x", text.upper(), "\udcff"):
        assert store.access_tokens.check(wrong) is None
    store.access_tokens.revoke(token.id)
    store.access_tokens.revoke(token.id)
    assert store.access_tokens.check(text) is None
    (listed,) = store.access_tokens.list()
    assert listed.revoked_at is not None
    with pytest.raises(NotFoundError):
        store.access_tokens.revoke("nothing")


def test_only_a_hash_is_stored(store: Store) -> None:
    _, text = store.access_tokens.create("dashboard", Role.ADMIN)
    with store.session.database.read() as connection:
        row = connection.execute(sa.select(access_tokens)).one()
    assert text.removeprefix("mpa_").encode() not in b"".join(
        value if isinstance(value, bytes) else str(value).encode() for value in row
    )


def test_use_is_noted_once_a_minute(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    _, text = store.access_tokens.create("dashboard", Role.ADMIN)
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    seen = []
    for seconds in (0, 30, 59, 60, 61):
        moment = now + timedelta(seconds=seconds)
        monkeypatch.setattr(module, "now_micros", lambda moment=moment: module.to_micros(moment))
        store.access_tokens.check(text)
        seen.append(store.access_tokens.list()[0].last_used_at)
    assert seen == [now, now, now, now + timedelta(seconds=60), now + timedelta(seconds=60)]


def test_noting_use_is_no_change_of_control_data(store: Store) -> None:
    _, text = store.access_tokens.create("dashboard", Role.ADMIN)
    before = store.changes.revision()
    store.access_tokens.check(text)
    assert store.changes.revision() == before
