"""`meshproxy reload`: the running server goes by a changed `server.toml`."""

import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.serve.server_config import ServerFiles
from meshproxy_cli.configedit.atomic import locked
from meshproxy_cli.errors import UnavailableError, UsageError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.reloads import ReloadReport, is_running, read_report
from meshproxy_cli.settings.runtime import read_runtime

_POLL_S = 0.05


def reload(
    check: Annotated[
        bool, typer.Option("--check", help="Only check the file, with this shell's variables and secrets.")
    ] = False,
    config: Annotated[
        Path | None, options.file("--config", text="With --check: the file to check (default: the server's).")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the server.", min=1)] = 40.0,
    json: options.Json = False,
) -> None:
    """Have the running server go by a changed `server.toml`, its keys and its TLS certificate.

    Nothing that runs is interrupted: answers under way end as they began. A file with a mistake is refused whole, with
    all its mistakes, and the server goes on with what it had. SIGHUP does the same; the server's log then tells.

    What belongs to the start needs a restart: options and variables of `meshproxy serve` (host, port, workers,
    database), and `[server]` in the file.

    **Examples**

    - `meshproxy reload`
    - `meshproxy reload --check --config new.toml`
    """
    if check:
        _check(config)
        return
    if config is not None:
        raise UsageError("--config goes with --check: a server keeps the file that it was started with")
    paths = context.paths()
    with locked(paths.state_dir / "reload", timeout_s=timeout):  # of two at once each hears what became of its own
        report = _reload(paths, timeout)
    if json:
        output.data(asdict(report))
    else:
        _tell(report)


def _check(config: Path | None) -> None:
    paths = context.paths()
    runtime = read_runtime(paths)
    report = read_report(paths, runtime.pid) if runtime is not None else None
    chosen = config or (Path(report.config_file) if report is not None else None)
    files = ServerFiles(chosen if chosen != paths.server_file.absolute() else None)
    files.read()
    output.success(f"{files.path} is fine" if files.path.exists() else f"there is no {files.path}, and need not be")


def _reload(paths: Paths, timeout_s: float) -> ReloadReport:
    deadline = time.monotonic() + timeout_s
    pid, before = _running(paths, deadline)
    path = Path(before.config_file)
    ServerFiles(path if path != paths.server_file.absolute() else None).check_form()
    os.kill(pid, signal.SIGHUP)
    while time.monotonic() < deadline:
        report = read_report(paths, pid)
        if report is not None and report.generation > before.generation:
            return _accepted(report)
        if not is_running(paths, pid):
            raise UnavailableError(f"the server (process {pid}) has ended meanwhile", hint="its log may say why")
        time.sleep(_POLL_S)
    raise UnavailableError(
        f"the server (process {pid}) did not answer within {timeout_s:g} s", hint="its log may say why"
    )


def _running(paths: Paths, deadline: float) -> tuple[int, ReloadReport]:
    """Return the running server's process id and its last report. Raises `UnavailableError`."""
    runtime = read_runtime(paths)
    while runtime is not None and is_running(paths, runtime.pid) and time.monotonic() < deadline:
        report = read_report(paths, runtime.pid)
        if report is not None:
            return runtime.pid, report
        time.sleep(_POLL_S)  # it is just writing
    raise UnavailableError(
        "no `meshproxy serve` of this user is running", hint="start it: it reads the file then. meshproxy serve"
    )


def _accepted(report: ReloadReport) -> ReloadReport:
    """Return a report of success; raises `UsageError` with what the server says is wrong."""
    if report.problem:
        first, *others = report.problem.splitlines()
        raise UsageError(first, details=others, hint="nothing was changed: the server goes on with what it had")
    return report


def _tell(report: ReloadReport) -> None:
    for change in report.changes:
        output.text(change)
    if not report.changes:
        output.note(f"nothing is new in {report.config_file}; keys, prices and certificates were read again")
    output.success(f"{report.processes} processes of the server go by it")
