"""Other gateways, measured the same way where they are installed.

`MESHPROXY_PEERS=DIR` says where, each in a place of its own below DIR, and nothing of them in the project:

    python3.13 -m venv DIR/meshagent && DIR/meshagent/bin/pip install meshagent-llm-proxy==0.55.1
    python3.11 -m venv DIR/litellm && DIR/litellm/bin/pip install 'litellm[proxy]==1.109.1'
    cd DIR/portkey && npm install    # Node 20; package.json as below

    {"private": true, "dependencies": {"@portkey-ai/gateway": "1.15.2"},
     "overrides": {"@hono/node-server": "1.13.8"}}

With a later `@hono/node-server` that gateway answers 500 to every stream. Each peer runs as one worker
with its usual settings, knows a key of its own, and passes Responses on to the benchmark's provider.
"""

import contextlib
import http.client
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from proxy_measure import body
from proxy_servers import Running, free_port, running
from rich.console import Console

PEER_BARS = {"meshagent-llm-proxy": 6, "portkey": 20, "litellm": 100}
"""How many times the CPU of meshproxy a peer is to take for a request of the kind "json"."""

_REQUESTS = {"json": (4_000, False), "stream": (4_000, True), "large": (560_000, False)}
# What only the provider can have said: the text of its answer, or the last event of its stream.
_ANSWERS = {"json": b"dull benchmark", "stream": b"response.completed", "large": b"dull benchmark"}
_KEY = "sk-benchmark"
_AUTHORIZATION = {"Authorization": f"Bearer {_KEY}"}
_PROBE_S = 60
# The server that `meshagent llm proxy` runs, without its login: it asks for a token where the command line has one.
_MESHAGENT = """
import asyncio, sys
from meshagent.llm_proxy import LocalLLMProxyServer

async def token():
    return sys.argv[3]

async def main():
    server = LocalLLMProxyServer(
        api_base_url=sys.argv[2], project_id="bench", upstream_bearer_token_provider=token,
        port=int(sys.argv[1]), bearer_token=sys.argv[3],
    )
    await server.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""
_LITELLM = """
model_list:
  - model_name: gpt-5.4
    litellm_params: {{model: openai/gpt-5.4, api_base: "http://127.0.0.1:{upstream}/v1", api_key: {key}}}
"""


@contextlib.contextmanager
def peers(upstream: int, home: Path, console: Console) -> Iterator[list[Running]]:
    """Run the peers that are installed; yields them, and names the others."""
    place = Path(os.environ.get("MESHPROXY_PEERS", "/nonexistent"))
    starts = {"meshagent-llm-proxy": _meshagent, "portkey": _portkey, "litellm": _litellm}
    with contextlib.ExitStack() as stack:
        found = []
        for name, start in starts.items():
            try:
                server = start(stack, place, upstream, home)
            except RuntimeError as error:
                console.print(f"skipped: {name}: {error}")
                continue
            if server is None:
                console.print(f"skipped: {name} is not installed (MESHPROXY_PEERS)")
            else:
                found.append(server)
        yield found


def able(servers: list[Running], kind: str, console: Console) -> list[Running]:
    """Return the servers that answer this kind of load ("json", "stream", "large") as the provider does."""
    found = []
    for server in servers:
        problem = _problem(server, kind)
        if problem:
            console.print(f"skipped: {server.name}, {kind}: {problem}")
        else:
            found.append(server)
    return found


def _problem(server: Running, kind: str) -> str:
    size, stream = _REQUESTS[kind]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PROBE_S)
    try:
        headers = {"Content-Type": "application/json", **server.headers}
        connection.request("POST", server.path, body(size, stream=stream), headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error!r})"
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        return f"status {answer.status}: {content[:200].decode(errors='replace')}"
    return "" if _ANSWERS[kind] in content else "answers with something else than the provider"


def _meshagent(stack: contextlib.ExitStack, place: Path, upstream: int, home: Path) -> Running | None:
    python = place / "meshagent/bin/python"
    if not python.exists():
        return None
    port = free_port()
    command = [str(python), "-c", _MESHAGENT, str(port), f"http://127.0.0.1:{upstream}", _KEY]
    pid = stack.enter_context(running(command, port, log=home / "meshagent.log"))
    return Running("meshagent-llm-proxy", port, pid, _AUTHORIZATION, "/openai/v1/responses")


def _portkey(stack: contextlib.ExitStack, place: Path, upstream: int, home: Path) -> Running | None:
    start = place / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    node = shutil.which("node")
    if node is None or not start.exists():
        return None
    port = free_port()
    command = [node, str(start), f"--port={port}", "--headless"]
    pid = stack.enter_context(running(command, port, log=home / "portkey.log"))
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        **_AUTHORIZATION,
    }
    return Running("portkey", port, pid, headers, "/v1/responses", connections=16)


def _litellm(stack: contextlib.ExitStack, place: Path, upstream: int, home: Path) -> Running | None:
    program = place / "litellm/bin/litellm"
    if not program.exists():
        return None
    config = home / "litellm.yaml"
    config.write_text(_LITELLM.format(upstream=upstream, key=_KEY))
    port = free_port()
    command = [str(program), "--config", str(config), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    # As its guide for production says: quiet, and with a master key. Its price list comes from the package.
    environ = {
        **os.environ,
        "LITELLM_MASTER_KEY": _KEY,
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    pid = stack.enter_context(running([*command, "--telemetry", "False"], port, environ, home / "litellm.log"))
    return Running("litellm", port, pid, _AUTHORIZATION, "/v1/responses", connections=4)
