"""Every setting with the place that it comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

from meshproxy_cli.configedit.toml_lines import line_of
from meshproxy_cli.settings.credentials import ACCESS_TOKEN_VARIABLE, API_KEY_VARIABLE
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.schema import HOSTED, LOCAL, ServerTable
from meshproxy_cli.settings.servers import LOCAL_URL, Server, Settings

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Value:
    """A setting: `origin` is a file and line, a variable, the running server, or "default"."""

    key: str
    value: str | bool | None
    origin: str

    @property
    def text(self) -> str:
        """The value for a person."""
        return str(self.value).lower() if isinstance(self.value, bool) else self.value or "-"


def all_values(settings: Settings, paths: Paths, environ: Mapping[str, str]) -> tuple[Value, ...]:
    """Return all settings. Secrets are never among them, only whether a variable holds one."""
    return (
        *_choice(settings, environ),
        *(value for server in settings.servers.values() for value in _server(server, settings, paths)),
        *_directories(paths),
        *_variables(environ),
    )


def _choice(settings: Settings, environ: Mapping[str, str]) -> Iterator[Value]:
    chosen = settings.server()
    if environ.get("MESHAGENT_API_URL"):
        origin = "MESHAGENT_API_URL"
    elif settings.file.current:
        origin = _place(settings, "current")
    else:
        origin = _DEFAULT
    yield Value("current", chosen.name, origin)
    yield Value("current.url", chosen.url, origin)
    if environ.get("MESHAGENT_PROJECT_ID"):
        yield Value("current.project_id", chosen.project_id, "MESHAGENT_PROJECT_ID")


def _server(server: Server, settings: Settings, paths: Paths) -> Iterator[Value]:
    table = settings.file.servers.get(server.name, ServerTable(None))
    for field in fields(ServerTable):
        key = f"servers.{server.name}.{field.name}"
        if getattr(table, field.name):
            yield Value(key, getattr(table, field.name), _place(settings, "servers", server.name, field.name))
        elif value := getattr(server, field.name, None):
            yield Value(key, value, _known_by_itself(server, value, paths))


def _known_by_itself(server: Server, value: str, paths: Paths) -> str:
    if server.name == HOSTED or (server.name == LOCAL and value == LOCAL_URL and not paths.runtime_file.exists()):
        return _DEFAULT
    return f"meshproxy serve ({paths.runtime_file})"


def _directories(paths: Paths) -> Iterator[Value]:
    origin = "MESHPROXY_HOME" if paths.home else _DEFAULT
    for name in ("settings_file", "server_file", "current_secrets_file", "database"):
        yield Value(f"paths.{name.removeprefix('current_')}", str(getattr(paths, name)), origin)


def _variables(environ: Mapping[str, str]) -> Iterator[Value]:
    for key, variable, default in (
        ("keyring", "MESHPROXY_KEYRING", "auto"),
        ("keyring_timeout", "MESHPROXY_KEYRING_TIMEOUT", "3"),
    ):
        yield Value(key, environ.get(variable) or default, variable if environ.get(variable) else _DEFAULT)
    for key, variable in (("api_key", API_KEY_VARIABLE), ("access_token", ACCESS_TOKEN_VARIABLE)):
        if environ.get(variable):
            yield Value(key, "set (not shown)", variable)


def _place(settings: Settings, *keys: str) -> str:
    return f"{settings.file.path}:{line_of(settings.file.text, keys)}"
