"""The service's file, and the commands that start it."""

import plistlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.commands import MESHPROXY
from meshproxy_cli.cli import context
from meshproxy_cli.cli.serve import service
from meshproxy_cli.errors import ConflictError, UnavailableError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime

LATER = 4e9  # a server that was started after the test began
COMMAND = ("/opt/mesh proxy/bin/meshproxy", "serve", "--port", "9000")
ODD = r'/data/100% $HOME "quoted" back\slash'


def test_systemd_unit() -> None:
    text = service.systemd_text(COMMAND, {"MESHPROXY_HOME": "/data"})
    assert 'ExecStart="/opt/mesh proxy/bin/meshproxy" serve --port 9000\n' in text
    assert 'ExecReload="/opt/mesh proxy/bin/meshproxy" reload\n' in text
    assert "Environment=MESHPROXY_HOME=/data\n" in text


def test_systemd_reads_the_unit_as_it_is_meant(tmp_path: Path) -> None:
    """Asks systemd itself, which also looks for the program."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed: apt-get install systemd")
    program = tmp_path / "a 100% b" / "meshproxy"
    program.parent.mkdir()
    program.symlink_to(MESHPROXY)
    unit = tmp_path / service.NAME
    unit.write_text(service.systemd_text((str(program), "serve"), {"MESHPROXY_HOME": ODD}), encoding="utf-8")
    command = ["systemd-analyze", "--user", "--no-pager", "verify", str(unit)]
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    program.unlink()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert f"{program} is not executable" in done.stderr  # so the name was read as it was meant


def test_launchd_agent() -> None:
    content = plistlib.loads(service.launchd_text(COMMAND, {"MESHPROXY_HOME": ODD}, Path("/log")).encode())
    assert content["ProgramArguments"] == list(COMMAND)
    assert content["EnvironmentVariables"] == {"MESHPROXY_HOME": ODD}
    assert content["StandardErrorPath"] == "/log"


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> service.Unit:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path / "meshproxy"))
    started = str(tmp_path / "started")
    return service.Unit(
        tmp_path / "meshproxy.service",
        "new\n",
        (("touch", started),),
        stop=(("rm", started),),
        active=("true",),
        hint="a hint",
    )


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[None]:
    """Let something listen where the server of this machine would."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        paths = Paths.from_environment({"MESHPROXY_HOME": str(tmp_path / "meshproxy")})
        write_runtime(paths, ServerRuntime(f"http://127.0.0.1:{server.getsockname()[1]}", 1, "", "", LATER))
        yield


@pytest.mark.usefixtures("listening")
def test_unit_is_shown_then_written_and_started_and_taken_away(unit: service.Unit, tmp_path: Path) -> None:
    assert unit.changes
    assert "+new" in unit.preview
    assert f"$ touch {tmp_path}/started" in unit.preview
    unit.install()
    assert unit.path.read_text() == "new\n"
    assert (tmp_path / "started").exists()
    assert not unit.changes
    assert unit.removal == f"$ rm {tmp_path}/started\n$ rm {unit.path}"
    unit.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["meshproxy"]


@pytest.mark.usefixtures("listening")
def test_server_of_a_terminal_is_in_the_way(unit: service.Unit) -> None:
    with pytest.raises(ConflictError, match="runs already"):
        replace(unit, active=("false",)).install()
    assert not unit.path.exists()


@pytest.mark.usefixtures("listening")
def test_service_keeps_the_port_of_the_last_server(unit: service.Unit) -> None:
    port = context.settings().servers["local"].url.rpartition(":")[2]
    assert f" serve --port {port}\n" in service.plan().text
    assert unit.text not in service.plan().text


def test_missing_service_manager_is_told(unit: service.Unit) -> None:
    broken = service.Unit(unit.path, unit.text, (("there-is-no-such-program",),))
    with pytest.raises(UnavailableError, match="can't be run"):
        broken.install()
