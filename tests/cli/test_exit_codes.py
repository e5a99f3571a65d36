"""docs/exit-codes.md says what happens: every code is met with by a real command line."""

import importlib
import pkgutil
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import meshproxy_cli
from fixtures.commands import MESHPROXY, Home
from fixtures.in_process import InProcess
from fixtures.own_store import seed
from fixtures.webserver import Site
from meshproxy_cli.errors import ExitCode, MeshproxyError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exit-codes.md"


def kinds(base: type[MeshproxyError] = MeshproxyError) -> Iterator[type[MeshproxyError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


def test_the_page_has_every_code_and_no_other() -> None:
    documented = [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text("utf-8"), re.MULTILINE)]
    assert documented == sorted(ExitCode)


def test_every_error_has_a_code_of_the_page() -> None:
    for module in pkgutil.walk_packages(meshproxy_cli.__path__, "meshproxy_cli."):
        if "migrations" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = set(kinds())
    assert len(found) > 20
    assert {kind.exit_code for kind in found} == set(ExitCode) - {ExitCode.OK, ExitCode.INTERRUPTED}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), ExitCode.OK),
        (("room", "list"), ExitCode.OK),
        (("room",), ExitCode.USAGE),
        (("usage", "export", "--output", "/nobody/has/this"), ExitCode.FAILURE),
        (("room", "lst"), ExitCode.USAGE),
        (("audit", "--limit", "0"), ExitCode.USAGE),
        (("room", "remove", "research"), ExitCode.USAGE),  # nobody is there to answer
        (("token", "generate", "--room", "r", "--identity", "i", "--server", "meshagent"), ExitCode.CREDENTIAL),
        (("token", "inspect", "eyJ.eyJ.x"), ExitCode.CREDENTIAL),
        (("room", "list", "--server", "http://127.0.0.1:1"), ExitCode.UNAVAILABLE),
        (("provider", "test"), ExitCode.UNAVAILABLE),
        (("room", "create", "research"), ExitCode.CONFLICT),
        (("server", "remove", "local"), ExitCode.CONFLICT),
        (("room", "show", "gone"), ExitCode.NOT_FOUND),
        (("token", "generate", "--spec", "/nobody/has/this"), ExitCode.NOT_FOUND),
        (("doctor", "--offline"), 1),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else str(int(part)),
)
def test_codes(furnished: InProcess, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int) -> None:
    monkeypatch.setenv("MESHAGENT_TOKEN", "an-access-token")
    furnished(*arguments, code=code)


def test_no_is_an_answer(furnished: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshproxy_cli.cli.output.interactive", lambda: True)
    found = furnished("room", "remove", "research", stdin="n\n", code=ExitCode.INTERRUPTED)
    assert "stopped" in found.stderr
    furnished("room", "show", "research")


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c(home: Home, site: Site) -> None:
    seed(site)
    command = [MESHPROXY, "usage", "tail", "--json"]
    environ = home.environ()
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(4):  # then all is imported, where Python may swallow an interrupt
            process.stdout.readline()
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        _, told = process.communicate()
    assert process.returncode == ExitCode.INTERRUPTED
    assert b"Traceback" not in told


def test_a_reader_that_goes_away(meshproxy_home: Home) -> None:
    line = "set -o pipefail; meshproxy token schema | head -1; meshproxy api-key create x | true"
    done = subprocess.run(["bash", "-c", line], env=meshproxy_home.environ(), capture_output=True, check=False)
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout == b"{\n"
