"""Other gateways, measured the same way where they are installed."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from proxy_servers import Running, free_port, running
from rich.console import Console

_CHAT = "/v1/chat/completions"


@contextlib.contextmanager
def peers(upstream: int, home: Path, console: Console) -> Iterator[list[Running]]:
    """Run the peers that are installed; yields them, and names the others."""
    with contextlib.ExitStack() as stack:
        found = []
        for name, start in (("litellm", _litellm), ("portkey", _portkey)):
            server = start(stack, upstream, home)
            if server is None:
                console.print(f"skipped: {name} is not installed")
            else:
                found.append(server)
        yield found


def _litellm(stack: contextlib.ExitStack, upstream: int, home: Path) -> Running | None:
    program = shutil.which("litellm", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        return None
    config = home / "litellm.yaml"
    config.write_text(
        "model_list:\n  - model_name: gpt-5.4\n    litellm_params:\n      model: openai/gpt-5.4\n"
        f"      api_base: http://127.0.0.1:{upstream}/v1\n      api_key: sk-benchmark\n"
    )
    port = free_port()
    command = [program, "--config", str(config), "--port", str(port), "--host", "127.0.0.1", "--num_workers", "1"]
    pid = stack.enter_context(running(command, port))
    return Running("litellm", port, pid, {"Authorization": "Bearer sk-any"}, _CHAT)


def _portkey(stack: contextlib.ExitStack, upstream: int, home: Path) -> Running | None:
    del home
    start = Path("node_modules/@portkey-ai/gateway/build/start-server.js")
    if not start.exists() or shutil.which("node") is None:
        return None
    port = free_port()
    pid = stack.enter_context(running(["node", str(start), f"--port={port}", "--headless"], port))
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream}/v1",
        "Authorization": "Bearer sk-any",
    }
    return Running("portkey", port, pid, headers, _CHAT)
