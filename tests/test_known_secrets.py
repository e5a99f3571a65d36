"""The watch for secrets itself: a test that leaks one fails, wherever it leaks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.run_checks import UNACCEPTABLE

pytestmark = pytest.mark.e2e

TESTS = Path(__file__).parent
LEAKS = {
    "standard error": "print(KEY.secret, file=sys.stderr)",
    "a log record": "logging.getLogger('x').warning('signed with %s', KEY.secret)",
    "an error": "str(MeshproxyError('no', hint=f'use {KEY.secret}'))",
    "a log file": "(tmp_path / 'serve.log').write_text(f'x{KEY.secret}y')",
    "a key in full": "print(KEY.encode(), file=sys.stderr)",
}
MODULE = """
import logging, sys
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.tokens.apikey import ApiKey

def test(tmp_path):
    KEY = ApiKey.generate("7c9e6679-7425-40de-944b-e07fc1f90ae7")
    {line}
"""


def suite(directory: Path, line: str, *options: str) -> int:
    """Run a suite of one test under the watch and return its exit code."""
    directory.joinpath("test_it.py").write_text(MODULE.format(line=line), "utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "fixtures.known_secrets",
        "-p",
        "no:cacheprovider",
        "test_it.py",
        *options,
    ]
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize("line", [line for name, line in LEAKS.items() if name != "a log file"])
def test_a_leak_fails_the_suite(tmp_path: Path, line: str) -> None:
    assert suite(tmp_path, line) == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("options", [(), ("--numprocesses", "1")], ids=["alone", "xdist"])
def test_a_leak_in_a_log_fails_the_suite_for_good(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert suite(tmp_path, LEAKS["a log file"], *options) == UNACCEPTABLE


def test_a_suite_that_leaks_nothing_passes(tmp_path: Path) -> None:
    assert suite(tmp_path, "print(KEY, KEY.id, file=sys.stderr)") == pytest.ExitCode.OK
