"""The service's file, and the commands that start it."""

import plistlib
import socket
from pathlib import Path

import pytest

from meshproxy_cli.cli import service
from meshproxy_cli.errors import UnavailableError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime

COMMAND = ("/opt/mesh proxy/bin/meshproxy", "serve")


def test_systemd_unit() -> None:
    text = service.systemd_text(COMMAND, {"MESHPROXY_HOME": "/data"})
    assert 'ExecStart="/opt/mesh proxy/bin/meshproxy" serve\n' in text
    assert "ExecReload=/bin/kill -HUP $MAINPID\n" in text
    assert 'Environment="MESHPROXY_HOME=/data"\n' in text


def test_launchd_agent() -> None:
    content = plistlib.loads(service.launchd_text(COMMAND, {"MESHPROXY_HOME": "/data"}).encode())
    assert content["ProgramArguments"] == list(COMMAND)
    assert content["EnvironmentVariables"] == {"MESHPROXY_HOME": "/data"}


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> service.Unit:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path / "meshproxy"))
    return service.Unit(tmp_path / "meshproxy.service", "new\n", (("touch", str(tmp_path / "started")),))


def test_unit_is_shown_then_written_and_started(unit: service.Unit, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        paths = Paths.from_environment({"MESHPROXY_HOME": str(tmp_path / "meshproxy")})
        write_runtime(paths, ServerRuntime(url, 1, "", "", 0))
        assert unit.changes
        assert "+new" in unit.preview
        assert f"$ touch {tmp_path}/started" in unit.preview
        unit.install()
        assert unit.path.read_text() == "new\n"
        assert (tmp_path / "started").exists()
        assert not unit.changes


def test_missing_service_manager_is_told(unit: service.Unit) -> None:
    broken = service.Unit(unit.path, unit.text, (("there-is-no-such-program",),))
    with pytest.raises(UnavailableError, match="can't be run"):
        broken.install()
