"""The settings file, and the servers that it and this machine know.

current = "team"            # which server commands use

[servers.team]
url = "https://mesh.example.com"
project_id = "…"            # optional
room = "my-room"            # optional: the room where none is given
session = "{agent}-{user}"  # optional: how sessions are named
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from meshproxy_cli.errors import NotFoundError, UsageError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, read_runtime
from meshproxy_cli.settings.schema import HOSTED, LOCAL, SettingsFile, read_settings
from meshproxy_cli.settings.urls import server_url
from meshproxy_cli.suggest import did_you_mean

LOCAL_URL = "http://127.0.0.1:8765"
HOSTED_URL = "https://api.meshagent.com"


@dataclass(frozen=True, slots=True)
class Server:
    """A server by name. `room` and `session` are this user's defaults there; `local` is the one on this machine."""

    name: str
    url: str
    project_id: str | None = None
    room: str | None = None
    session: str | None = None
    local: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What the settings file, the environment and the running server say together."""

    servers: Mapping[str, Server]
    current: str
    file: SettingsFile
    environ: Mapping[str, str]

    def server(self, name_or_url: str | None = None) -> Server:
        """Return the server asked for, else the one of `MESHAGENT_API_URL`, else the current one.

        A URL that belongs to a known server gives that one. `MESHAGENT_PROJECT_ID` comes before the file's project.
        Raises `NotFoundError` for an unknown name and `UrlError` for a URL that can't be one.
        """
        found = self._find(name_or_url or self.environ.get("MESHAGENT_API_URL") or self.current)
        project = self.environ.get("MESHAGENT_PROJECT_ID")
        return replace(found, project_id=project) if project else found

    def _find(self, name_or_url: str) -> Server:
        if "://" not in name_or_url:
            return self._named(name_or_url)
        insecure = self.environ.get("MESHPROXY_INSECURE_HTTP", "") not in {"", "0"}
        known = {server.url: server for server in reversed(list(self.servers.values()))}
        url = server_url(name_or_url, insecure_http=insecure or name_or_url.rstrip("/") in known)
        return known.get(url) or Server(name=url.partition("://")[2], url=url)

    def _named(self, name: str) -> Server:
        if name in self.servers:
            return self.servers[name]
        raise unknown_server(name, self.servers)


def load_settings(paths: Paths, environ: Mapping[str, str]) -> Settings:
    """Return the settings of this user. Raises `SettingsError` for a file that can't be understood."""
    file = read_settings(paths.settings_file)
    local = _local(read_runtime(paths))
    servers = {LOCAL: local, HOSTED: Server(HOSTED, HOSTED_URL)}
    for name, table in file.servers.items():
        base = servers.get(name) or Server(name, table.url or "")
        servers[name] = replace(
            base,
            project_id=table.project_id or base.project_id,
            room=table.room,
            session=table.session,
        )
    return Settings(servers, file.current or LOCAL, file, environ)


def _local(runtime: ServerRuntime | None) -> Server:
    if runtime is None:
        return Server(LOCAL, LOCAL_URL, local=True)
    return Server(LOCAL, runtime.url.rstrip("/"), project_id=runtime.project_id or None, local=True)


def unknown_server(name: str, known: Iterable[str]) -> NotFoundError:
    """Return the error for a server's name that nobody knows."""
    names = tuple(known)
    if "." in name or ":" in name:
        return NotFoundError(
            f"there is no server named {name!r}", hint=f"a URL begins with https://, as https://{name}"
        )
    return NotFoundError(
        f"there is no server named {name!r}{did_you_mean(name, names)}",
        hint=f"known are {', '.join(names)}; add it: meshproxy server add {name} URL",
    )


def check_name(name: str) -> None:
    """Raise `UsageError` unless `name` can name a server: it becomes part of secrets' names and of TOML keys."""
    if not name or not all(char.isascii() and (char.isalnum() or char in "-_") for char in name):
        raise UsageError(f"{name!r} can't name a server", hint="letters, digits, - and _ can be used")
