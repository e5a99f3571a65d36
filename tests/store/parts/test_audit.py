import pytest

from meshproxy_cli.errors import NotFoundError
from meshproxy_cli.store.records import Actor, Role
from meshproxy_cli.store.store import Store


def test_the_audit_log_has_changes_and_never_a_secret(store: Store) -> None:
    acting = store.acting_as(Actor(name="ann", origin="test"))
    project = acting.projects.ensure("team")
    key = acting.keys.create(project.id, "laptop")
    acting.keys.revoke(project.id, key.id)
    acting.keys.revoke(project.id, key.id)
    token, text = acting.access_tokens.create("dashboard", Role.VIEWER)
    acting.access_tokens.revoke(token.id)
    entries = store.audit.list()
    assert [entry.action for entry in entries] == [
        "access_token.revoke",
        "access_token.create",
        "api_key.revoke",
        "api_key.create",
        "project.create",
    ]
    assert key.secret not in repr(entries)
    assert text not in repr(entries)
    assert [entry.action for entry in store.audit.list(limit=1)] == ["access_token.revoke"]


def test_a_change_that_fails_leaves_no_audit_entry(store: Store) -> None:
    acting = store.acting_as(Actor(name="ann", origin="test"))
    with pytest.raises(NotFoundError):
        acting.access_tokens.revoke("nothing")
    assert store.audit.list() == ()
