"""`meshproxy reload` where there is no server, or one that does not answer; the rest is tried end to end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.reloads import ReloadReport, ReloadStatusFile
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime


@pytest.fixture
def paths(run: InProcess) -> Paths:
    del run  # it sets MESHPROXY_HOME
    return Paths.from_environment(os.environ)


@pytest.fixture
def board(paths: Paths) -> Iterator[ReloadStatusFile]:
    """Return what a server of this process id would hold."""
    write_runtime(paths, ServerRuntime("http://127.0.0.1:1", os.getpid(), "p", "sqlite:///x", 0.0))
    made = ReloadStatusFile(paths, os.getpid())
    made.publish(ReloadReport(0, str(paths.server_file), "digest"))
    yield made
    made.close()


def test_a_process_that_only_has_the_number_of_a_server_gets_no_signal(
    run: InProcess, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("a stranger got a signal"))
    assert "no `meshproxy serve`" in run("reload", code=4).stderr
    write_runtime(paths, ServerRuntime("http://127.0.0.1:1", os.getpid(), "p", "sqlite:///x", 0.0))
    assert "no `meshproxy serve`" in run("reload", code=4).stderr


def test_the_answer_of_the_server_is_shown(
    run: InProcess, paths: Paths, board: ReloadStatusFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(
        [
            ReloadReport(1, str(paths.server_file), "d", 3, "", ("provider a added: http://a",)),
            ReloadReport(2, str(paths.server_file), "d", 3),
            ReloadReport(3, str(paths.server_file), "d", 0, "two things:\n  one\n  two"),
        ]
    )
    signals = []

    def kill(pid: int, number: int) -> None:
        signals.append((pid, number))
        board.publish(next(answers))

    monkeypatch.setattr(os, "kill", kill)
    first = run("reload")
    assert first.stdout == "provider a added: http://a\n"
    assert "3 processes" in first.stderr
    assert run("reload", "--json").json()["generation"] == 2
    refused = run("reload", code=2)
    assert "  one\n  two" in refused.stderr
    assert "goes on with what it had" in refused.stderr
    assert signals == [(os.getpid(), signal.SIGHUP)] * 3


@pytest.mark.usefixtures("board")
def test_a_server_that_does_not_answer(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: None)
    assert "did not answer within 1 s" in run("reload", "--timeout", "1", code=4).stderr


def test_a_server_that_ends_meanwhile(run: InProcess, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    write_runtime(paths, ServerRuntime("http://127.0.0.1:1", 42, "p", "sqlite:///x", 0.0))
    board = ReloadStatusFile(paths, 42)
    board.publish(ReloadReport(0, str(paths.server_file), "digest"))
    monkeypatch.setattr(os, "kill", lambda *_: board.close())
    assert "has ended meanwhile" in run("reload", code=4).stderr


@pytest.mark.usefixtures("board")
def test_a_file_with_a_mistake_never_reaches_the_server(
    run: InProcess, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("it was told"))
    paths.server_file.parent.mkdir(parents=True)
    paths.server_file.write_text("[rooms]\nstrict = 1\n[limits]\nx = 1\n")
    refused = run("reload", code=2).stderr
    assert "rooms.strict" in refused
    assert "limits.x" in refused


def test_check_needs_no_server(run: InProcess, paths: Paths, tmp_path: Path) -> None:
    assert "need not be" in run("reload", "--check").stderr
    other = tmp_path / "other.toml"
    other.write_text('[providers.openai]\nkeys = ["env:NOT_SET_ANYWHERE"]\n')
    assert "env:NOT_SET_ANYWHERE leads to nothing" in run("reload", "--check", "--config", str(other), code=2).stderr
    paths.server_file.parent.mkdir(parents=True)
    paths.server_file.write_text("[rooms]\nstrict = true\n")
    assert "is fine" in run("reload", "--check").stderr
