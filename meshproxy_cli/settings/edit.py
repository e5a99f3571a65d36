"""Change the settings file."""

from functools import partial
from typing import TYPE_CHECKING

from meshproxy_cli.configedit.desired import Setting, Slot
from meshproxy_cli.configedit.formats.document import lookup
from meshproxy_cli.configedit.slots import put
from meshproxy_cli.configedit.toml_edit import edit_toml
from meshproxy_cli.errors import ConflictError, UsageError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.schema import BUILT_IN, LOCAL, SERVER_KEYS, ServerTable, parse_settings, read_settings
from meshproxy_cli.settings.servers import check_name, unknown_server
from meshproxy_cli.settings.urls import server_url
from meshproxy_cli.suggest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshproxy_cli.configedit.formats.document import Value
    from meshproxy_cli.configedit.formats.toml_document import TomlDocument

_SHORT = ("project_id", "room", "session")


def add_server(paths: Paths, name: str, table: ServerTable, *, replace: bool = False) -> bool:
    """Write a `[servers.<name>]` table and return whether the file changed.

    One that is there already with another URL is changed only with `replace`. Raises `ConflictError`, `UrlError`.
    """
    check_name(name)
    if name in BUILT_IN:
        raise UsageError(f"the server {name} is built in", hint="choose another name")
    url = server_url(table.url or "", insecure_http=table.insecure_http)

    values: dict[str, Value | None] = {"url": url}
    values |= {key: value for key in _SHORT if (value := getattr(table, key))}
    values["insecure_http"] = True if table.insecure_http else None

    def change(document: "TomlDocument") -> None:
        before = lookup(document.plain(), ("servers", name, "url"))
        if before not in {None, url} and not replace:
            raise ConflictError(f"the server {name} already exists: {before}", hint="give --replace to change it")
        put(document, [Setting(Slot(("servers", name, key)), value) for key, value in values.items()])

    return _edit(paths, change)


def use_server(paths: Paths, name: str) -> bool:
    """Make a server the current one; raises `NotFoundError` if it is unknown."""

    def change(document: "TomlDocument") -> None:  # the file itself may be wrong in this very key
        known = list(dict.fromkeys((*BUILT_IN, *_servers(document))))
        if name not in known:
            raise unknown_server(name, known)
        put(document, [Setting(Slot(("current",)), name)])

    return _edit(paths, change)


def remove_server(paths: Paths, name: str) -> bool:
    """Remove a server's table; if it was the current one, none is chosen any more. Raises `NotFoundError`."""

    def change(document: "TomlDocument") -> None:
        servers = _servers(document)
        if name not in servers:
            raise unknown_server(name, servers)
        document.drop_table(("servers", name))
        if document.plain().get("current") == name:
            document.drop(("current",))

    return _edit(paths, change)


def set_value(paths: Paths, key: str, value: str | None) -> bool:
    """Set one key, or with None remove it, and return whether the file changed.

    `key` is `current`, `servers.<name>.<key>`, or for the current server just `room`, `session` or `project_id`.
    Raises `UsageError` for an unknown key, `SettingsError` for a value that it can't have, and `NotFoundError` for a
    current server that is unknown.
    """
    if key == "current" and value is not None:
        return use_server(paths, value)
    keys = _keys(paths, key)

    def change(document: "TomlDocument") -> None:
        put(document, [Setting(Slot(keys), None if value is None else _typed(keys[-1], value))])

    return _edit(paths, change)


def _edit(paths: Paths, change: "Callable[[TomlDocument], None]") -> bool:
    return edit_toml(paths.settings_file, change, partial(parse_settings, path=paths.settings_file))


def _servers(document: "TomlDocument") -> dict[str, object]:
    found = document.plain().get("servers")
    return found if isinstance(found, dict) else {}


def _keys(paths: Paths, key: str) -> tuple[str, ...]:
    parts = tuple(key.split("."))
    if parts == ("current",):
        return parts
    if len(parts) == 1 and key in _SHORT:
        return ("servers", read_settings(paths.settings_file).current or LOCAL, key)
    if len(parts) == 3 and parts[0] == "servers" and parts[2] in SERVER_KEYS:  # noqa: PLR2004 (servers.NAME.KEY)
        check_name(parts[1])
        return parts
    raise UsageError(
        f"{key!r} is not a setting{_nearest(parts[-1])}", hint=f"settings are: {', '.join(allowed_keys())}"
    )


def allowed_keys() -> tuple[str, ...]:
    """Return the keys that `set_value` takes."""
    return ("current", *_SHORT, *(f"servers.NAME.{key}" for key in SERVER_KEYS))


def _nearest(key: str) -> str:
    by_last_part = {allowed.rpartition(".")[2]: allowed for allowed in reversed(allowed_keys())}
    near = nearest(key, by_last_part)
    return f"; did you mean {by_last_part[near]}?" if near else ""


def _typed(key: str, value: str) -> str | bool:
    if key != "insecure_http":
        return value
    if value not in {"true", "false"}:
        raise UsageError(f"invalid insecure_http {value!r}: it can be true or false")
    return value == "true"
