"""Several worker processes on one port, and the parent that watches over them."""

import asyncio
import contextlib
import hmac
import multiprocessing
import signal
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from meshproxy_cli.errors import UnavailableError, UsageError
from meshproxy_cli.proxy.config import load_config
from meshproxy_cli.proxy.server import Worker, WorkerSettings
from meshproxy_cli.store import open_store
from meshproxy_cli.store.vault import KeyLoader

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.synchronize import Event

_QUICK_DEATH_S = 5.0
_MOST_QUICK_DEATHS = 5
_POLL_S = 0.2
_KILL_AFTER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
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


def serve(plan: Plan, sockets: Sequence[socket.socket], *, workers: int, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called once connections are accepted."""
    if workers == 1:
        _run_worker(plan, tuple(sockets), 0, ready)
    else:
        _supervise(plan, workers, ready)


def tls_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """Return the context for clients' TLS, None without a certificate. Raises `UsageError`."""
    if not certificate and not key:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as problem:
        raise UsageError(f"the TLS certificate or key can't be used: {problem}") from None
    return context


def _run_worker(plan: Plan, sockets: tuple[socket.socket, ...], number: int, ready: Callable[[], None]) -> None:
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
        session_key=hmac.digest(plan.master_keys[0], b"dashboard sessions", "sha256"),
    )

    async def run() -> None:
        await Worker(settings, config, store, plan.environ).serve(ready)

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    finally:
        store.close()


def _child(plan: Plan, number: int, started: "Event") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent passes it on, as SIGTERM
    sockets = tuple(
        _bind(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)) for host, port in plan.addresses
    )
    _run_worker(plan, sockets, number, started.set)


class _Children:
    """The worker processes: started, and started again where one dies."""

    def __init__(self, plan: Plan, workers: int) -> None:
        self._plan = plan
        self._context = multiprocessing.get_context("spawn")
        self._quick_deaths = 0
        self._running: dict[int, tuple[BaseProcess, float]] = {}
        self.started = [self._context.Event() for _ in range(workers)]
        for number in range(workers):
            self._start(number)

    def _start(self, number: int) -> None:
        process = self._context.Process(
            target=_child, args=(self._plan, number, self.started[number]), name=f"meshproxy-worker-{number}"
        )
        process.start()
        self._running[number] = process, time.monotonic()

    def mend(self) -> None:
        """Start dead workers again; raises `UnavailableError` where they die as soon as they start."""
        for number, (process, since) in tuple(self._running.items()):
            if process.is_alive():
                continue
            quick = time.monotonic() - since < _QUICK_DEATH_S
            self._quick_deaths = self._quick_deaths + 1 if quick else 0
            if self._quick_deaths >= _MOST_QUICK_DEATHS:
                raise UnavailableError(f"workers end as soon as they start (exit code {process.exitcode})")
            self._start(number)

    def stop(self, patience_s: float) -> None:
        """End all, giving running answers time."""
        for process, _ in self._running.values():
            process.terminate()
        deadline = time.monotonic() + patience_s
        for process, _ in self._running.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _supervise(plan: Plan, workers: int, ready: Callable[[], None]) -> None:
    stopping = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        stopping = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    children = _Children(plan, workers)
    told = False
    try:
        while not stopping:
            children.mend()
            if not told and all(event.is_set() for event in children.started):
                told = True
                ready()
            time.sleep(_POLL_S if told else _POLL_S / 4)
    finally:
        children.stop(plan.drain_s + _KILL_AFTER_S)
