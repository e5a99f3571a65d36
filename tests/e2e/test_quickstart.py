"""The README's first command, as a newcomer runs it: an empty HOME, no provider key, no keyring."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.commands import Home

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


def quickstart(home: Home) -> str:
    # In a file, not a pipe: the server that it leaves running inherits no end that we would wait for.
    output = home.root / "output"
    with output.open("wb") as written:
        done = subprocess.run(
            [ROOT / "examples" / "quickstart.sh", "--port", "0"],
            env=home.environ(),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
    text = output.read_text(encoding="utf-8")
    assert done.returncode == 0, text
    return text


@pytest.fixture
def newcomer(meshproxy_home: Home) -> Iterator[Home]:
    """Return an empty home; whatever serves in it is stopped in the end."""
    yield meshproxy_home
    for pid in re.findall(r"kill (\d+)", (meshproxy_home.root / "output").read_text(encoding="utf-8"))[:1]:
        os.kill(int(pid), signal.SIGTERM)


def test_quickstart_does_the_main_job(newcomer: Home) -> None:
    first = quickstart(newcomer)

    assert re.search(r"OpenAI-style: .*echo", first)
    assert re.search(r"Anthropic-style: .*echo", first)
    assert re.search(r"my-room .*gpt", first), "the usage table has the OpenAI-style request"
    assert re.search(r"my-room .*claude", first), "and the Anthropic-style one"
    assert "ma-" not in first
    assert "eyJ" not in first

    again = quickstart(newcomer)
    assert "is running already" in again
    assert re.findall(r"kill \d+", first) == re.findall(r"kill \d+", again)
