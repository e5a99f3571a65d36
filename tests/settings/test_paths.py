import sys
from pathlib import Path

import pytest

from meshproxy_cli.settings.paths import Paths


def test_meshproxy_home_moves_everything(tmp_path: Path) -> None:
    paths = Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})
    every = [
        paths.settings_file,
        paths.server_file,
        paths.secrets_file,
        paths.receipts_dir,
        paths.database,
        paths.spool_dir,
        paths.runtime_file,
    ]
    assert all(path.is_relative_to(tmp_path) for path in every)
    assert len(set(every)) == len(every)
    assert list(tmp_path.iterdir()) == []


def test_a_relative_or_tilde_home_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Paths.from_environment({"MESHPROXY_HOME": "here"}).home == tmp_path / "here"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Paths.from_environment({"MESHPROXY_HOME": "~/there"}).home == tmp_path / "there"


@pytest.mark.skipif(sys.platform != "linux", reason="the XDG directories are Linux's: run on Linux")
def test_without_it_the_platform_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "cfg"))
    paths = Paths.from_environment({"MESHPROXY_HOME": ""})
    assert paths.home is None
    assert paths.settings_file == tmp_path / "cfg" / "meshproxy" / "settings.toml"
    assert paths.secrets_file == tmp_path / "cfg" / "meshproxy" / "secrets" / "secrets.json"
    assert paths.runtime_file == tmp_path / ".local" / "state" / "meshproxy" / "serve.json"
