"""The servers that the benchmark starts: the provider, nginx, meshproxy."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).parent
_LONGEST_START_S = 180
_NGINX = """
worker_processes 1;
daemon off;
pid {home}/nginx.pid;
error_log {home}/nginx.log;
worker_rlimit_nofile 30000;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/f; uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
  client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000000;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Running:
    """A server under test: its port, the process whose tree is measured, and the headers that a request needs.

    `connections` is the most that it is loaded with, where the usual number takes it too long to answer.
    """

    name: str
    port: int
    pid: int
    headers: dict[str, str]
    path: str = "/rooms/bench/openai/v1/responses"
    spool: Path | None = None
    connections: int | None = None


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until somebody listens."""
    for _ in range(_LONGEST_START_S * 20):
        if process.poll() is not None:
            raise RuntimeError(f"a server ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return
        time.sleep(0.05)
    raise RuntimeError("a server did not start")


@contextlib.contextmanager
def running(
    command: list[str], port: int, environ: dict[str, str] | None = None, log: Path | None = None
) -> Iterator[int]:
    """Run a server for a while; yields its process id."""
    with Path(log or os.devnull).open("wb") as out:
        process = subprocess.Popen(command, env=environ, stdout=out, stderr=out)
        try:
            wait_for(port, process)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def provider() -> Iterator[int]:
    """Run the provider; yields its port."""
    port = free_port()
    with running([sys.executable, str(_HERE / "proxy_provider.py"), str(port)], port):
        yield port


@contextlib.contextmanager
def nginx(upstream: int, home: Path) -> Iterator[Running]:
    """Run nginx in front of the provider."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, upstream=upstream, port=port))
    with running([program, "-c", str(config), "-p", str(home), "-e", str(home / "nginx.log")], port) as pid:
        yield Running("nginx (limit)", port, pid, {})


@contextlib.contextmanager
def meshproxy(upstream: int, home: Path, workers: int = 1) -> Iterator[Running]:
    """Run meshproxy with all its checks and records on, and make a token for it."""
    port = free_port()
    program = str(Path(sys.executable).with_name("meshproxy"))
    environ = {
        **os.environ,
        "MESHPROXY_HOME": str(home / f"meshproxy-{port}"),
        "MESHPROXY_KEYRING": "file",
        "OPENAI_API_KEY": "sk-benchmark",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream}/v1",
    }
    command = [program, "serve", "--port", str(port), "--workers", str(workers), "--drain", "0"]
    with running(command, port, environ, home / "meshproxy.log") as pid:
        subprocess.run(
            [program, "api-key", "create", "bench", "--activate"],
            check=True,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        got = subprocess.run([program, "token", "get", "--room", "bench"], capture_output=True, check=True, env=environ)
        token = got.stdout.decode().strip()
        time.sleep(1)
        headers = {"Authorization": f"Bearer {token}", "Meshagent-Session": "bench"}
        name = "meshproxy" if workers == 1 else f"meshproxy, {workers} workers"
        yield Running(name, port, pid, headers, spool=Path(environ["MESHPROXY_HOME"]) / "data" / "spool")
