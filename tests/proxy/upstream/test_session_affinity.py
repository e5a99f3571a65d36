"""Which credential a session uses."""

from dataclasses import replace

import pytest

from meshproxy_cli.proxy.config.server import Provider, load_config
from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.upstream import session_affinity as module
from meshproxy_cli.proxy.upstream.session_affinity import StickySessions


def provider(*keys: str) -> Provider:
    text = f'[providers.openai]\nbase_url="http://h/v1"\nkeys={list(keys)}\n'
    found = load_config(text, {}, lambda name: name).provider("openai", None)
    assert found is not None
    return found


def caller(session: str = "s", room: str = "r") -> Caller:
    return Caller("p", room, session, "ana", "k", "", None)


def test_a_session_keeps_to_what_worked() -> None:
    sessions, two = StickySessions(), provider("a", "b", "c")
    first, second, third = two.targets
    assert list(sessions.targets(two, caller())) == [first, second, third]
    assert not sessions.is_bound(two, caller())
    sessions.worked(two, caller(), second)
    assert list(sessions.targets(two, caller())) == [second, first, third]
    assert sessions.is_bound(two, caller())
    for other in (caller("t"), caller(room="q"), replace(caller(), project_id="q")):
        assert list(sessions.targets(two, other)) == [first, second, third]


def test_another_base_url_with_the_sessions_credential_comes_next() -> None:
    text = '[providers.openai]\nbase_url=["http://a/v1","http://b/v1"]\nkeys=["one","two"]\n'
    both, sessions = load_config(text, {}, lambda name: name).provider("openai", None), StickySessions()
    assert both is not None
    a_one, a_two, b_one, b_two = both.targets
    sessions.worked(both, caller(), a_two)
    assert list(sessions.targets(both, caller())) == [a_two, b_two, a_one, b_one]


def test_a_credential_that_is_configured_no_more_binds_nobody() -> None:
    sessions, before = StickySessions(), provider("a", "b")
    sessions.worked(before, caller(), before.targets[0])
    after = provider("b", "c")
    assert list(sessions.targets(after, caller())) == list(after.targets)
    assert not sessions.is_bound(after, caller())


def test_one_credential_needs_no_memory() -> None:
    sessions, one = StickySessions(), provider("a")
    sessions.worked(one, caller(), one.targets[0])
    assert not sessions._bound
    assert list(sessions.targets(one, caller())) == list(one.targets)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SESSIONS", 5)
    sessions, two = StickySessions(), provider("a", "b")
    for number in range(20):
        sessions.worked(two, caller(f"s{number}"), two.targets[1])
    assert len(sessions._bound) == 5
    assert sessions.is_bound(two, caller("s19"))
