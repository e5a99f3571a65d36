"""The providers in this machine's server configuration (`server.toml`):

    [providers.openai]
    protocol = "openai"            # or "anthropic"
    base_url = "https://api.openai.com/v1"
    keys = ["keyring:provider/openai"]

`proxy/config.py` reads the same tables, and everything else in that file.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from meshproxy_cli.configedit.desired import Setting, Slot
from meshproxy_cli.configedit.formats.document import lookup
from meshproxy_cli.configedit.slots import put
from meshproxy_cli.configedit.toml_edit import edit_toml
from meshproxy_cli.configedit.toml_lines import line_of, parse_toml
from meshproxy_cli.errors import ConflictError, NotFoundError, UsageError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.references import check_reference
from meshproxy_cli.settings.servers import check_name
from meshproxy_cli.settings.urls import is_loopback, server_url
from meshproxy_cli.suggest import did_you_mean

if TYPE_CHECKING:
    from meshproxy_cli.configedit.formats.document import Value
    from meshproxy_cli.configedit.formats.toml_document import TomlDocument

DEFAULT_URLS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
URL_VARIABLES = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """One provider: `keys` are references, `origin` says where it is configured, `headers` are as they stand there.

    The server tries each of `base_urls` with each of `keys`, in this order.
    """

    name: str
    protocol: str
    base_urls: tuple[str, ...]
    keys: tuple[str, ...]
    origin: str = ""
    headers: Mapping[str, object] = field(default_factory=dict)
    allow_http: bool = False  # plain HTTP to another machine


def read_providers(paths: Paths, environ: Mapping[str, str]) -> tuple[ProviderEntry, ...]:
    """Return the providers of the file, or where it names none those of the environment, as the server does.

    Raises `UsageError` with file and line for a table that can't be used.
    """
    try:
        text = paths.server_file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{paths.server_file} can't be read: {problem}") from None
    tables = parse_toml(text, paths.server_file).get("providers", {})
    if not isinstance(tables, dict):
        raise UsageError(f"{paths.server_file}: providers is a table of tables, such as [providers.openai]")
    if tables:
        return tuple(_entry(name, table, f"{paths.server_file}", text) for name, table in tables.items())
    return _from_environment(environ)


def add_provider(
    paths: Paths, entry: ProviderEntry, *, replace: bool = False, keep_key: Callable[[], None] = lambda: None
) -> bool:
    """Write a `[providers.<name>]` table and return whether the file changed. Raises `ConflictError`, `UsageError`.

    Where the table names the first of `entry.keys` already, its list of keys is left as it is. `keep_key` is called
    before anything is written, once it is clear that nothing is in the way; where it raises, the file is unchanged.
    """
    base_url, *_ = entry.base_urls

    def change(document: "TomlDocument") -> None:
        table = lookup(document.plain(), ("providers", entry.name)) or {}
        before = {key: table[key] for key in ("protocol", "base_url") if key in table}
        if before and before != {"protocol": entry.protocol, "base_url": base_url} and not replace:
            raise ConflictError(
                f"the provider {entry.name} already exists: {before.get('base_url')}",
                hint="give --replace to change it, or --name for another one beside it",
            )
        keep_key()
        values: dict[str, Value] = {"protocol": entry.protocol, "base_url": base_url}
        if entry.allow_http:
            values["allow_http"] = True
        if entry.keys[0] not in table.get("keys", []):
            values["keys"] = list(entry.keys)
        put(document, [Setting(Slot(("providers", entry.name, key)), value) for key, value in values.items()])

    return edit_toml(paths.server_file, change, tomllib.loads)


def remove_provider(paths: Paths, name: str) -> tuple[str, ...]:
    """Remove a provider's table and return the references to its keys. Raises `NotFoundError`."""
    keys: list[str] = []

    def change(document: "TomlDocument") -> None:
        providers = document.plain().get("providers", {})
        if name not in providers:
            raise NotFoundError(
                f"there is no provider named {name!r} in {paths.server_file}{did_you_mean(name, providers)}"
            )
        keys.extend(str(key) for key in providers[name].get("keys", []))
        document.drop_table(("providers", name))

    edit_toml(paths.server_file, change, tomllib.loads)
    return tuple(keys)


def make_provider(
    protocol: str, *, name: str | None, base_url: str | None, key: str | None, insecure_http: bool = False
) -> ProviderEntry:
    """Return a provider as a person names it; `key` is a reference (default: `keyring:provider/<name>`).

    Raises `UsageError` unless the server can use it.
    """
    if protocol not in DEFAULT_URLS:
        raise UsageError(
            f"the protocol {protocol!r} is unknown{did_you_mean(protocol, DEFAULT_URLS)}",
            hint=f"it can be {', '.join(DEFAULT_URLS)}",
        )
    chosen = name or protocol
    check_name(chosen)
    url = server_url(base_url or DEFAULT_URLS[protocol], insecure_http=insecure_http)
    reference = key or f"keyring:provider/{chosen}"
    check_reference(reference, f"a key of the provider {chosen}")
    remote = urlsplit(url).scheme == "http" and not is_loopback(urlsplit(url).hostname or "")
    return ProviderEntry(chosen, protocol, (url,), (reference,), allow_http=remote)


def _entry(name: str, table: object, path: str, text: str) -> ProviderEntry:
    place = f"{path}:{line_of(text, ('providers', name))}"
    if not isinstance(table, dict):
        raise UsageError(f"{place}: providers.{name} is a table: [providers.{name}]")
    protocol = table.get("protocol", name)
    if protocol not in DEFAULT_URLS:
        raise UsageError(f"{place}: providers.{name}.protocol is {protocol!r}; it can be {', '.join(DEFAULT_URLS)}")
    urls = _texts(table, "base_url", name, f"{path}:{line_of(text, ('providers', name, 'base_url'))}")
    place_of_keys = f"{path}:{line_of(text, ('providers', name, 'keys'))}"
    keys = _texts(table, "keys", name, place_of_keys)
    for key in keys:
        check_reference(key, f"{place_of_keys}: a key of the provider {name}")
    headers = table.get("headers", {})
    if not isinstance(headers, dict):
        raise UsageError(f"{place}: providers.{name}.headers is a table of texts")
    return ProviderEntry(name, protocol, urls or (DEFAULT_URLS[protocol],), keys, place, headers)


def _texts(table: Mapping[str, Any], key: str, name: str, place: str) -> tuple[str, ...]:
    value = table.get(key, [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise UsageError(f"{place}: providers.{name}.{key} is text in quotes, or a list of such texts")
    return tuple(values)


def _from_environment(environ: Mapping[str, str]) -> tuple[ProviderEntry, ...]:
    return tuple(
        ProviderEntry(
            name=protocol,
            protocol=protocol,
            base_urls=(environ.get(URL_VARIABLES[protocol]) or DEFAULT_URLS[protocol],),
            keys=(f"env:{variable}",),
            origin="the environment",
        )
        for protocol, variable in KEY_VARIABLES.items()
        if environ.get(variable)
    )
