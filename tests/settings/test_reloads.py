"""What a server says of itself to `meshproxy reload`, and how its end shows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.reloads import ReloadReport, ReloadStatusFile, is_running, read_report

REPORT = ReloadReport(3, "/etc/x/server.toml", "abc", 2, "it is wrong", ("provider a added",))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})


def test_a_report_is_read_as_it_was_written_also_when_it_gets_shorter(paths: Paths) -> None:
    board = ReloadStatusFile(paths, 42)
    assert read_report(paths, 42) is None  # nothing was said yet
    board.publish(REPORT)
    assert read_report(paths, 42) == REPORT
    board.publish(ReloadReport(4, "", ""))
    assert read_report(paths, 42) == ReloadReport(4, "", "")
    assert is_running(paths, 42)
    assert not is_running(paths, 43)
    assert (paths.state_dir / "serve-42.json").stat().st_mode & 0o777 == 0o600
    board.close()
    assert not is_running(paths, 42)
    assert read_report(paths, 42) is None


def test_a_server_that_was_killed_does_not_run_and_its_file_goes_with_the_next(paths: Paths) -> None:
    program = (
        "import os, signal, sys\n"
        "from meshproxy_cli.settings.paths import Paths\n"
        "from meshproxy_cli.settings.reloads import ReloadStatusFile, ReloadReport\n"
        "ReloadStatusFile(Paths.from_environment(os.environ), os.getpid()).publish(ReloadReport(0, '', ''))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environ = {**os.environ, "MESHPROXY_HOME": str(paths.home)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environ)
    assert process.wait(60) == -9
    left = paths.state_dir / f"serve-{process.pid}.json"
    assert left.exists()
    assert not is_running(paths, process.pid)
    assert read_report(paths, process.pid) is None
    board = ReloadStatusFile(paths, 42)
    assert not left.exists()
    board.close()


def test_two_servers_of_one_user(paths: Paths) -> None:
    one, two = ReloadStatusFile(paths, 1), ReloadStatusFile(paths, 2)
    one.publish(REPORT)
    assert (read_report(paths, 1), is_running(paths, 2)) == (REPORT, True)
    one.close()
    two.close()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"generation": 1}', b'{"more": 1, "changes": []}'])
def test_a_file_that_says_something_else_is_no_report(paths: Paths, content: bytes) -> None:
    board = ReloadStatusFile(paths, 42)
    (paths.state_dir / "serve-42.json").write_bytes(content)
    assert read_report(paths, 42) is None
    board.close()
