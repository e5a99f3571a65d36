"""`meshproxy serve`: run the Room Proxy."""

import logging
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from meshproxy_cli import __version__
from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.local_store import load_master_keys, open_local_store
from meshproxy_cli.cli.serve.server_config import ServerFiles
from meshproxy_cli.errors import ConflictError
from meshproxy_cli.proxy.config.server import MOST_WORKERS, ServerConfig
from meshproxy_cli.proxy.process.launcher import LaunchSpec, bind, in_use
from meshproxy_cli.proxy.process.launcher import serve as serve_workers
from meshproxy_cli.proxy.process.logs import LogOptions, log_as
from meshproxy_cli.proxy.process.reload import Loaded, Outcome, Reloader
from meshproxy_cli.settings.reloads import ReloadReport, ReloadStatusFile
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime

_SQLITE = "sqlite:"
LogFormat = Literal["people", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
_PARENT = "server"
_ANY = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)

_log = logging.getLogger(__name__)


def serve(  # noqa: PLR0917 (Typer fills them by name)
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (default 127.0.0.1); 0.0.0.0 or :: for all.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Port (default 8765); 0 takes any free one.", min=0, max=65535)
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(
            envvar="MESHPROXY_DATABASE_URL",
            metavar="URL",
            show_envvar=False,
            help="sqlite:///PATH or postgresql://…; default: MESHPROXY_DATABASE_URL",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port (default 1).", min=1, max=MOST_WORKERS)
    ] = None,
    config: Annotated[Path | None, options.file("--config", text="The server's configuration (TOML).")] = None,
    tls_cert: Annotated[
        Path | None, options.file("--tls-cert", text="Certificate chain (PEM): clients use https.")
    ] = None,
    tls_key: Annotated[Path | None, options.file("--tls-key", text="Its private key (PEM).")] = None,
    public_url: Annotated[str | None, typer.Option(help="URL by which others reach this server.")] = None,
    drain: Annotated[
        float | None, typer.Option(help="Seconds that running answers get at the end (default 30).", min=0)
    ] = None,
    web: Annotated[
        bool | None, typer.Option("--web/--no-web", help="Serve REST, dashboard and metrics too (default: yes).")
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(help="Log for people (default) or as JSON, one object a line.", rich_help_panel="Log"),
    ] = None,
    log_level: Annotated[
        LogLevel | None, typer.Option(help="Log from this level on (default: info).", rich_help_panel="Log")
    ] = None,
    access_log: Annotated[
        bool | None,
        typer.Option(
            "--access-log/--no-access-log",
            help="Log a line for each request (default: no).",
            rich_help_panel="Log",
        ),
    ] = None,
) -> None:
    """Run the Room Proxy until it is stopped (Ctrl-C, SIGTERM).

    Without any configuration it keeps its data in an SQLite database of this user, makes a project on its first
    start, and takes provider keys from OPENAI_API_KEY and ANTHROPIC_API_KEY. Where a key is missing, a built-in echo
    provider answers, so that everything can be tried offline. `server.toml` can hold most options under `[server]`;
    `meshproxy reload` has it read again.

    **Examples**

    - `meshproxy serve`
    - `meshproxy serve --port 0 --workers 4`
    - `meshproxy serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --database-url postgresql://db/meshproxy`
    """
    paths = context.paths()
    given = {
        "host": host,
        "port": port,
        "workers": workers,
        "public_url": public_url,
        "tls_cert": None if tls_cert is None else str(tls_cert),
        "tls_key": None if tls_key is None else str(tls_key),
        "drain_s": drain,
        "web": web,
    }
    files = ServerFiles(config, {name: value for name, value in given.items() if value is not None})
    loaded = files.read()
    start = files.listening(loaded.config)
    url = database_url or f"sqlite:///{paths.database}"
    if start.port and in_use("127.0.0.1" if start.host in _ANY else start.host, start.port):
        raise ConflictError(
            f"something listens on port {start.port} already", hint="choose another one: meshproxy serve --port 0"
        )
    database = _prepare_database(url)
    sockets = bind(start.host, start.port)
    listening = [one.getsockname()[:2] for one in sockets]
    address = _url(start.host, listening[0][1], tls=bool(start.tls_cert))
    runtime = ServerRuntime(
        url=start.public_url or address,
        pid=os.getpid(),
        project_id=database.project_id,
        database_url=public_database(url),
        started_at=time.time(),
    )
    plan = LaunchSpec(
        addresses=tuple((str(name), number) for name, number in listening),
        public_url=runtime.url,
        database_url=url,
        master_keys=database.master_keys,
        load_master_keys=load_master_keys,
        config_text=loaded.config_text,
        secrets=loaded.secrets,
        environ=dict(os.environ),
        spool_dir=paths.spool_dir,
        drain_s=start.drain_s,
        tls_cert=start.tls_cert,
        tls_key=start.tls_key,
        web=start.web,
        log=LogOptions(json=None if log_format is None else log_format == "json", level=log_level, access=access_log),
    )
    log_as(loaded.config, loaded.secrets, plan, _PARENT)
    for_machines = plan.log.over(loaded.config.log).json

    def ready() -> None:
        write_runtime(paths, runtime)
        if for_machines:
            _log_start(runtime, loaded.config, start.workers)
        else:
            _welcome(runtime, loaded.config, has_keys=database.has_keys, workers=start.workers)

    board = ReloadStatusFile(paths, runtime.pid)
    reloader = _reloader(files, loaded, board, plan)
    try:
        serve_workers(plan, workers=start.workers, ready=ready, reload=reloader.reload)
    finally:
        board.close()
        for one in sockets:
            one.close()
    if for_machines:
        _log.info("stopped")
    else:
        output.note("stopped")


@dataclass(frozen=True, slots=True)
class _Database:
    project_id: str
    has_keys: bool
    master_keys: tuple[bytes, ...] = field(repr=False)


def _prepare_database(url: str) -> _Database:
    """Migrate it, and make sure of a project and of the master key: what is wrong is told here, not in a worker."""
    store = open_local_store(url)
    project = store.projects.ensure()
    has_keys = bool(store.keys.list(project.id))
    store.keys.claim_master_key()
    store.keys.signing()  # fails where the master key is another one
    master_keys = tuple(load_master_keys(store.keys.master_key_id()))
    store.close()
    return _Database(project.id, has_keys, master_keys)


def _reloader(files: ServerFiles, loaded: Loaded, board: ReloadStatusFile, plan: LaunchSpec) -> Reloader:
    """Return what reads the configuration again, and tells `meshproxy reload` of it."""
    generation = 0

    def tell(outcome: Outcome) -> None:
        nonlocal generation
        generation += 1
        if not outcome.problem:
            log_as(outcome.loaded.config, outcome.loaded.secrets, plan, _PARENT)
        board.publish(_report(generation, files, outcome))

    board.publish(_report(generation, files, Outcome(loaded)))
    return Reloader(loaded, files.read, tell)


def _report(generation: int, files: ServerFiles, outcome: Outcome) -> ReloadReport:
    return ReloadReport(
        generation=generation,
        config_file=str(files.path),
        digest=outcome.loaded.digest,
        processes=outcome.processes,
        problem=outcome.problem,
        changes=outcome.changes,
    )


def public_database(url: str) -> str:
    """Return what may lie in a file of a database's URL: of a server only the kind, as the rest may be a password."""
    return url if url.startswith(_SQLITE) else f"{url.partition(':')[0]}:"


def _url(host: str, port: int, *, tls: bool) -> str:
    name = "127.0.0.1" if host in _ANY else host
    name = f"[{name}]" if ":" in name else name
    return f"{'https' if tls else 'http'}://{name}:{port}"


def _log_start(runtime: ServerRuntime, config: ServerConfig, workers: int) -> None:
    fields = {"url": runtime.url, "workers": workers, "version": __version__}
    _log.info("the Room Proxy listens", extra={"fields": fields})
    for provider in config.providers:
        if provider.echo:
            _log.warning("%s: no provider key, so the built-in echo provider answers", provider.protocol)


def _welcome(runtime: ServerRuntime, config: ServerConfig, *, has_keys: bool, workers: int) -> None:
    """Say where the server is, what stands in for a provider, and on the first start how to go on."""
    processes = "" if workers == 1 else f" ({workers} workers)"
    output.success(f"Room Proxy on {runtime.url}{processes}; dashboard: {runtime.url}/dashboard")
    for provider in config.providers:
        if provider.echo:
            variable = f"{provider.protocol.upper()}_API_KEY"
            output.warn(
                f"{provider.protocol}: no provider key, so the built-in echo provider answers (it is no model). "
                f"Set {variable}, or: meshproxy provider add {provider.protocol} --api-key -"
            )
        else:
            output.note(f"{provider.protocol}: {provider.base_url} ({provider.name})")
    if not has_keys:
        output.note(
            "How to go on, in another terminal:\n"
            "  meshproxy api-key create my-key --activate\n"
            "  meshproxy configure codex --room my-room     (or: configure claude)\n"
            '  codex exec --profile meshproxy "hello"       (or: claude -p "hello")\n'
            "  meshproxy usage"
        )
