"""What the settings file may hold, and how a wrong value in it is told."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshproxy_cli.configedit.toml_lines import line_of, parse_toml
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.urls import UrlError, server_url
from meshproxy_cli.suggest import did_you_mean

TOP_KEYS = ("current", "servers")
SERVER_KEYS = ("url", "project_id", "room", "session", "insecure_http")
PLACEHOLDERS = ("{agent}", "{host}", "{user}")
LOCAL = "local"
HOSTED = "meshagent"
BUILT_IN = (LOCAL, HOSTED)


class SettingsError(UsageError):
    """The settings file can't be used; the message names file, line and what is allowed. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class ServerTable:
    """One `[servers.<name>]` table; `url` is None only for a built-in server."""

    url: str | None
    project_id: str | None = None
    room: str | None = None
    session: str | None = None
    insecure_http: bool = False


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file as read: `unknown` holds the dotted names of keys that mean nothing."""

    path: Path
    text: str = ""
    current: str | None = None
    servers: Mapping[str, ServerTable] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Problem:
    keys: tuple[str, ...]
    message: str


def read_settings(path: Path) -> SettingsFile:
    """Read the file; an absent one is empty. Raises `SettingsError` and `TomlError`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return SettingsFile(path)
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} can't be read: {problem}") from problem
    return parse_settings(text, path)


def parse_settings(text: str, path: Path) -> SettingsFile:
    """Return what a settings file's text says. Raises `TomlError`, or `SettingsError` with every problem at once."""
    content = parse_toml(text, path)
    problems = list(_problems(content))
    if problems:
        lines = [f"{path}:{line_of(text, found.keys)}: {found.message}" for found in problems]
        raise SettingsError(
            lines[0], details=lines[1:], hint="mend it there; `meshproxy config set` changes single values"
        )
    servers = {name: _table(table) for name, table in content.get("servers", {}).items()}
    return SettingsFile(path, text, content.get("current"), servers, tuple(_unknown(content)))


def unknown_key(dotted: str) -> str:
    """Return a line for a person about a key that means nothing, with the nearest that does."""
    parent, _, key = dotted.rpartition(".")
    known = SERVER_KEYS if parent else TOP_KEYS
    return f"{dotted} is unknown" + (did_you_mean(key, known) or f"; known are {', '.join(known)}")


def _table(table: Mapping[str, Any]) -> ServerTable:
    insecure = table.get("insecure_http", False)
    url = table.get("url")
    return ServerTable(
        url=None if url is None else server_url(url, insecure_http=insecure),
        project_id=table.get("project_id"),
        room=table.get("room"),
        session=table.get("session"),
        insecure_http=insecure,
    )


def _problems(content: Mapping[str, Any]) -> Iterator[_Problem]:
    servers = content.get("servers", {})
    if not isinstance(servers, dict):
        yield _Problem(("servers",), "servers is a table of tables, such as [servers.team]")
        return
    current = content.get("current")
    if current is not None and current not in (
        known := [*BUILT_IN, *(name for name in servers if name not in BUILT_IN)]
    ):
        yield _Problem(("current",), f"current is {current!r}; it can be {', '.join(known)}")
    for name, table in servers.items():
        yield from _server_problems(name, table)


def _server_problems(name: str, table: object) -> Iterator[_Problem]:
    place = ("servers", name)
    if not isinstance(table, dict):
        yield _Problem(place, f"servers.{name} is a table: [servers.{name}]")
        return
    for key in ("url", "project_id", "room", "session"):
        if key in table and (not isinstance(table[key], str) or not table[key]):
            yield _Problem((*place, key), f"servers.{name}.{key} is {table[key]!r}; it is text in quotes")
            return
    unknown = set(re.findall(r"\{[^}]*\}", table.get("session", ""))) - set(PLACEHOLDERS)
    if unknown:
        known = ", ".join(PLACEHOLDERS)
        yield _Problem((*place, "session"), f"servers.{name}.session has {min(unknown)}; it can have {known}")
    if not isinstance(table.get("insecure_http", False), bool):
        yield _Problem((*place, "insecure_http"), f"servers.{name}.insecure_http can be true or false")
        return
    yield from _url_problems(name, table)


def _url_problems(name: str, table: Mapping[str, Any]) -> Iterator[_Problem]:
    place = ("servers", name)
    if name in BUILT_IN:
        if "url" in table:
            yield _Problem((*place, "url"), f"the server {name} is built in, and so is its URL; add another name")
        return
    if "url" not in table:
        yield _Problem(place, f"servers.{name} has no url")
        return
    try:
        server_url(table["url"], insecure_http=table.get("insecure_http", False))
    except UrlError as problem:
        yield _Problem((*place, "url"), f"servers.{name}.url: {problem.message}")


def _unknown(content: Mapping[str, Any]) -> Iterator[str]:
    yield from (key for key in content if key not in TOP_KEYS)
    for name, table in content.get("servers", {}).items():
        yield from (f"servers.{name}.{key}" for key in table if key not in SERVER_KEYS)
