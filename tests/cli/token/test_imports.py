"""What the commands that agents and scripts wait for import. Their time and memory lie in `benchmarks/cli_start.py`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshproxy_cli.tokens.apikey import ApiKey

KEY = ApiKey(
    "3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "s3cr3t-0123456789abcdefghij"
)
RUN = """
import sys
from meshproxy_cli.cli.app import run
code = run(sys.argv[1:])
print(*sys.modules, sep="\\n", file=sys.stderr)
sys.exit(code)
"""
NEVER = {
    "rich",
    "jwt",
    "cryptography",
    "sqlalchemy",
    "pydantic",
    "asyncio",
    "http",
    "urllib.request",
    "tomlkit",
    "importlib.metadata",
}
NEVER |= {f"meshproxy_cli.{layer}" for layer in ("proxy", "store", "client", "agents", "doctor")}
SPEC_FILE = "version: v1\nkind: ParticipantToken\nidentity: ana\nroom: r\napi: {llm: {}}\n"


def modules(home: Path, *arguments: str, environ: dict[str, str] | None = None, stdin: str = "") -> set[str]:
    """Run a command in a process of its own and return what it imported, each with the packages it lies in."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env={**os.environ, "MESHPROXY_HOME": str(home), **(environ or {})},
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("eyJ")
    return set(done.stderr.split())


@pytest.mark.parametrize("source", ["environment", "secrets file"])
def test_token_get(tmp_path: Path, source: str) -> None:
    environ = {"MESHAGENT_API_KEY": KEY.encode()} if source == "environment" else {}
    if not environ:
        command = [sys.executable, "-m", "meshproxy_cli", "api-key", "import"]
        home = {"MESHPROXY_HOME": str(tmp_path), "MESHPROXY_KEYRING": "file"}
        subprocess.run(
            command, env={**os.environ, **home}, input=KEY.encode(), text=True, check=True, capture_output=True
        )
    found = modules(tmp_path, "token", "get", "--room", "r", environ=environ)
    assert found & NEVER == set()
    assert found & {"yaml", "keyring", "meshproxy_cli.tokens.check", "meshproxy_cli.cli.token.generate"} == set()


def test_token_generate(tmp_path: Path) -> None:
    environ = {"MESHAGENT_API_KEY": KEY.encode()}
    found = modules(tmp_path, "token", "generate", "--room", "r", "--identity", "i", environ=environ)
    assert found & (NEVER | {"yaml", "keyring"}) == set()
    found = modules(tmp_path, "token", "generate", "--spec", "-", environ=environ, stdin=SPEC_FILE)
    assert found & (NEVER | {"keyring"}) == set()
    assert "yaml" in found, "otherwise this test sees nothing"
