from pathlib import Path

import pytest

from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, read_runtime, write_runtime


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})


def test_what_was_written_is_read(paths: Paths) -> None:
    runtime = ServerRuntime("http://127.0.0.1:9999", 42, "a project", "sqlite:////x/y.db", 1.5)
    write_runtime(paths, runtime)
    assert read_runtime(paths) == runtime


def test_without_a_server_there_is_none(paths: Paths) -> None:
    assert read_runtime(paths) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", '{"url": "x", "pid": null}', "\xff"])
def test_a_file_that_makes_no_sense_is_no_server(paths: Paths, content: str) -> None:
    paths.state_dir.mkdir(parents=True)
    paths.runtime_file.write_bytes(content.encode("latin-1"))
    assert read_runtime(paths) is None
