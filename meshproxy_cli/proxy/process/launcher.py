"""The processes of a server: workers that share a port, and one shipper."""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from meshproxy_cli.errors import UnavailableError
from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.ownership.shipper import is_shared
from meshproxy_cli.proxy.process import tuning
from meshproxy_cli.proxy.process.control import Change, Control
from meshproxy_cli.proxy.process.logs import LogOptions, log_as, uncaught_in_loop
from meshproxy_cli.proxy.process.shipper_process import ShippingPlan, shipping_process
from meshproxy_cli.proxy.process.supervisor import CONTEXT, Child, Supervisor
from meshproxy_cli.proxy.process.tls import tls_context
from meshproxy_cli.proxy.process.worker import Worker, WorkerSettings
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine.vault import KeyLoader


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """What a worker needs to start, as values that reach another process. `secrets` are the references, resolved."""

    addresses: tuple[tuple[str, int], ...]
    public_url: str
    database_url: str
    master_keys: tuple[bytes, ...] = field(repr=False)
    config_text: str
    secrets: dict[str, str] = field(repr=False)
    environ: dict[str, str] = field(repr=False)
    spool_dir: Path
    drain_s: float
    tls_cert: str = ""
    tls_key: str = ""
    web: bool = True
    log: LogOptions = field(default_factory=LogOptions)
    load_master_keys: KeyLoader | None = None  # asked when the database was moved to a key not among `master_keys`


def bind(host: str, port: int) -> tuple[socket.socket, ...]:
    """Bind every address that a host name stands for, on one port, for sharing. Raises `UnavailableError`."""
    bound: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            chosen = bound[0].getsockname()[1] if bound and port == 0 else port
            bound.append(_bind(family, (address[0], chosen)))
    except OSError as problem:
        for one in bound:
            one.close()
        raise UnavailableError(
            f"can't listen on {host or '*'} port {port}: {problem.strerror or problem}",
            hint="another server may run there: choose another port with --port (0: any)",
        ) from None
    return tuple(bound)


def _bind(family: int, address: tuple[object, ...]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.setblocking(False)  # noqa: FBT003 (its only form)
    except OSError:
        one.close()
        raise
    return one


def in_use(host: str, port: int) -> bool:
    """Whether somebody listens there already: sharing a port must not split its clients between two servers."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=0.3):
        return True
    return False


def serve(
    plan: LaunchSpec,
    *,
    workers: int,
    ready: Callable[[], None],
    reload: Callable[[Sequence[Child]], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    `ready` is called once connections are accepted, `reload` with all processes on SIGHUP. Raises `UnavailableError`.
    """
    # A process that is not forked begins as `python -c`, which would import from the current directory first.
    os.environ["PYTHONSAFEPATH"] = "1"
    told, alive = CONTEXT.Pipe(duplex=False)
    shipping = ShippingPlan(
        database_url=plan.database_url,
        config_text=plan.config_text,
        secrets=plan.secrets,
        environ=plan.environ,
        spool_dir=plan.spool_dir,
        log=plan.log,
    )
    children = [Child(_name(number), _worker_process, plan, number, alive) for number in range(workers)]
    shipper = Child("the shipper", shipping_process, shipping, told, alive)
    Supervisor(children, shipper, alive.close, reload).run(ready, drain_s=plan.drain_s)


def _name(number: int) -> str:
    return f"worker {number}"


def run_worker(
    plan: LaunchSpec,
    sockets: tuple[socket.socket, ...],
    number: int,
    ready: Callable[[], None],
    line: Connection | None = None,
) -> None:
    """Run a worker in this process until SIGTERM or SIGINT; what it spools is for a shipper to move.

    A new configuration comes through `line`.
    """
    config = load_config(plan.config_text, plan.environ, plan.secrets.__getitem__)
    store = open_store(plan.database_url, master_key=plan.master_keys, load_master_keys=plan.load_master_keys)
    settings = WorkerSettings(
        sockets=sockets,
        public_url=plan.public_url,
        spool_dir=plan.spool_dir,
        worker=number,
        drain_s=plan.drain_s,
        tls=tls_context(plan.tls_cert, plan.tls_key),
        web=plan.web,
        shared=is_shared(plan.database_url),
        session_key=hmac.digest(plan.master_keys[0], b"dashboard sessions", "sha256"),
    )

    async def run() -> None:
        worker = Worker(settings, config, store, plan.environ)

        def prepare(change: Change) -> Callable[[], None]:
            new = load_config(change.config_text, plan.environ, change.secrets.__getitem__)
            take_over = worker.prepare(new, tls_context(plan.tls_cert, plan.tls_key))

            def commit() -> None:
                take_over()
                log_as(new, change.secrets, plan, _name(number))

            return commit

        asyncio.get_running_loop().set_exception_handler(uncaught_in_loop)
        if line is not None:
            Control(line, prepare).start()
        await worker.serve(ready)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    finally:
        store.close()


def _worker_process(line: Connection, plan: LaunchSpec, number: int, _alive: Connection) -> None:
    """Run one of several workers; the shipper goes on for as long as anyone holds `_alive`."""
    config = load_config(plan.config_text, plan.environ, plan.secrets.__getitem__)
    log_as(config, plan.secrets, plan, _name(number))
    sockets = tuple(
        _bind(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)) for host, port in plan.addresses
    )

    def ready() -> None:
        tuning.settle()
        line.send(True)  # noqa: FBT003 (any value will do)

    run_worker(plan, sockets, number, ready, line)
