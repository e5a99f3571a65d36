"""Runs real workers and shippers in processes that can be killed and started again quickly.

As a program it imports everything once and then forks a process for each "start" on standard input, so that a start
takes some ten milliseconds; a worker tells its process id and port once it accepts connections.
"""

import base64
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from meshproxy_cli.proxy.process.launcher import LaunchSpec, bind, run_worker
from meshproxy_cli.proxy.process.shipper_process import ShippingPlan, ship
from meshproxy_cli.proxy.process.supervisor import CONTEXT
from meshproxy_cli.store import open_store

TESTS = Path(__file__).parent.parent


class Killable:
    """A place where one worker (or `shipper`) after the other runs, each until it is killed."""

    def __init__(self, plan: dict[str, object], *, shipper: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "e2e.killable", json.dumps({**plan, "shipper": shipper})],
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.worker = 0
        self.port = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(signal.SIGKILL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def start(self) -> None:
        """Start a process; a worker accepts connections once this returns."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("start\n")
        self._process.stdin.flush()
        self.worker, self.port = map(int, self._process.stdout.readline().split())

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, with SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.worker:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            os.kill(self.worker, number)
            self._process.stdin.write("reap\n")
            self._process.stdin.flush()
            self._process.stdout.readline()
            self.worker = 0


def _worker(plan: dict[str, str]) -> None:
    sockets = bind("127.0.0.1", 0)
    address = sockets[0].getsockname()
    settings = LaunchSpec(
        addresses=(address,),
        public_url=f"http://127.0.0.1:{address[1]}",
        database_url=plan["database_url"],
        master_keys=(base64.b64decode(plan["master_key"]),),
        config_text="",
        secrets={},
        environ=dict(os.environ),
        spool_dir=Path(plan["spool_dir"]),
        drain_s=2.0,
        web=False,
    )
    run_worker(settings, sockets, 0, ready=lambda: _tell(os.getpid(), address[1]))


def _shipper(plan: dict[str, str]) -> None:
    told, tell = CONTEXT.Pipe(duplex=False)
    signal.signal(signal.SIGTERM, lambda *_: tell.close())
    _tell(os.getpid(), 0)
    shipping = ShippingPlan(
        database_url=plan["database_url"],
        config_text="",
        secrets={},
        environ=dict(os.environ),
        spool_dir=Path(plan["spool_dir"]),
    )
    ship(shipping, told)


def _tell(*values: int) -> None:
    sys.stdout.write(" ".join(map(str, values)) + "\n")
    sys.stdout.flush()


def _import_everything() -> None:
    """Do once what every process would do again: load the database's driver and the price list."""
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(f"sqlite:///{directory}/warm-up.db", master_key=b"k" * 32)
        store.projects.ensure()
        store.close()
    importlib.import_module("genai_prices.data_snapshot").get_snapshot()


def _main() -> None:
    plan = json.loads(sys.argv[1])
    os.environ.update(plan["environ"])
    _import_everything()
    gc.freeze()
    worker = 0
    for line in sys.stdin:
        if line == "reap\n":
            os.waitpid(worker, 0)
            _tell()
            continue
        worker = os.fork()
        if worker == 0:
            sys.stdin.close()
            (_shipper if plan["shipper"] else _worker)(plan)
            os._exit(0)


if __name__ == "__main__":
    _main()
