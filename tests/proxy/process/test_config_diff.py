"""What a person is told that a new `server.toml` changes."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from meshproxy_cli.proxy.config.server import ServerConfig, load_config
from meshproxy_cli.proxy.process.config_diff import _NAMES, differences

ONE = '[providers.one]\nprotocol="openai"\nbase_url="http://a/v1"\nkeys=["env:A"]\n'


def diff(old: str, new: str, keys: tuple[str, str] = ("first secret", "first secret")) -> list[str]:
    before, after = (load_config(text, {}, lambda _, key=key: key) for text, key in ((old, keys[0]), (new, keys[1])))  # type: ignore[misc]
    return list(differences(before, after))


def test_nothing_changed() -> None:
    assert diff(ONE, ONE) == []


def test_providers_come_and_go() -> None:
    two = '[providers.openai]\nbase_url="http://b"\n'
    assert diff(ONE, ONE + two) == ["provider openai added: http://b"]
    assert diff(ONE + two, ONE) == ["provider openai removed"]
    assert diff("", ONE) == ["provider echo (openai) removed", "provider one (openai) added: http://a/v1"]


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ('base_url="http://a/v1"', 'base_url="http://b/v1"', "base URL http://a/v1 → http://b/v1"),
        ('base_url="http://a/v1"', 'base_url=["http://a/v1","http://b"]', "other base URLs"),
        ('base_url="http://a/v1"', 'base_url="http://a/x/v1"', "base URL http://a/v1 → http://a/x/v1"),
        ('keys=["env:A"]', 'keys=["env:A"]\ndefault=true', "the default now"),
        ('keys=["env:A"]', 'keys=["env:A"]\nheaders={x="y"}', "another key, path or header"),
    ],
)
def test_a_provider_changes(line: str, instead: str, said: str) -> None:
    assert diff(ONE, ONE.replace(line, instead)) == [f"provider one (openai): {said}"]


def test_a_key_changes_and_is_not_told() -> None:
    found = diff(ONE, ONE, ("first secret", "second secret"))
    assert found == ["provider one (openai): another key, path or header"]


def test_settings_are_called_as_in_the_file() -> None:
    new = """
        [limits]
        idle_timeout_s = 9
        max_body_mib = 1.5
        [rooms]
        strict = true
        [usage]
        keep_days = 3
        prices = "p.toml"
        on_disconnect = "drain"
        [log]
        format = "json"
        [server]
        port = 9000
        web = false
    """
    assert diff("", new) == [
        "limits.max_body_mib: 32 → 1.5",
        "limits.idle_timeout_s: 600 → 9",
        "rooms.strict: false → true",
        "usage.prices: none → p.toml",
        "usage.keep_days: none → 3",
        "usage.on_disconnect: cancel → drain",
        "log.format: people → json",
        "server.port: 8765 → 9000 (needs a restart)",
        "server.web: true → false (needs a restart)",
    ]


def test_every_setting_has_the_name_that_the_file_knows() -> None:
    tables = {name.partition(".")[0] for name in names_of(ServerConfig(providers=()), "")}
    assert tables <= {"limits", "rooms", "usage", "metrics", "log", "server"}


def names_of(value: Any, prefix: str) -> Iterator[str]:
    for one in fields(value):
        inner = getattr(value, one.name)
        if is_dataclass(inner):
            yield from names_of(inner, f"{prefix}{one.name}.")
        elif one.name != "providers":
            yield _NAMES.get(f"{prefix}{one.name}", f"{prefix}{one.name}")
