"""Which credential a session uses."""

from dataclasses import replace

import pytest

from meshproxy_cli.proxy.config.server import Provider, load_config
from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.upstream import session_affinity as module
from meshproxy_cli.proxy.upstream.session_affinity import SessionAffinity


def provider(*keys: str) -> Provider:
    text = f'[providers.openai]\nbase_url="https://h/v1"\nkeys={list(keys)}\n'
    found = load_config(text, {}, lambda name: name).provider("openai", None)
    assert found is not None
    return found


def caller(session: str = "s", room: str = "r") -> Caller:
    return Caller("p", room, session, "ana", "k", "", None)


def test_a_session_keeps_to_what_worked() -> None:
    sessions, two = SessionAffinity(), provider("a", "b", "c")
    first, second, third = two.targets
    assert list(sessions.targets(two, caller())) == [first, second, third]
    assert not sessions.is_bound(two, caller())
    sessions.bind(two, caller(), second)
    assert list(sessions.targets(two, caller())) == [second, first, third]
    assert sessions.is_bound(two, caller())
    for other in (caller("t"), caller(room="q"), replace(caller(), project_id="q")):
        assert list(sessions.targets(two, other)) == [first, second, third]


def test_another_base_url_with_the_sessions_credential_comes_next() -> None:
    text = '[providers.openai]\nbase_url=["https://a/v1","https://b/v1"]\nkeys=["one","two"]\n'
    both, sessions = load_config(text, {}, lambda name: name).provider("openai", None), SessionAffinity()
    assert both is not None
    a_one, a_two, b_one, b_two = both.targets
    sessions.bind(both, caller(), a_two)
    assert list(sessions.targets(both, caller())) == [a_two, b_two, a_one, b_one]


def test_a_credential_that_is_configured_no_more_binds_nobody() -> None:
    sessions, before = SessionAffinity(), provider("a", "b")
    sessions.bind(before, caller(), before.targets[0])
    after = provider("b", "c")
    assert list(sessions.targets(after, caller())) == list(after.targets)
    assert not sessions.is_bound(after, caller())


def test_one_credential_needs_no_memory() -> None:
    sessions, one = SessionAffinity(), provider("a")
    sessions.bind(one, caller(), one.targets[0])
    assert not sessions._bound
    assert list(sessions.targets(one, caller())) == list(one.targets)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ENTRY_BYTES", 200_000)
    sessions, two = SessionAffinity(), provider("a", "b")
    for number in range(300):
        sessions.bind(two, caller(f"s{number}"), two.targets[1])
    assert 0 < len(sessions._bound) < 300
    assert sessions.is_bound(two, caller("s299"))
