"""What is found out once and kept."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest

from meshproxy_cli.doctor.scene import Desk, DoctorContext
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.paths import Paths


def make(tmp_path: Path, **environ: str) -> DoctorContext:
    variables = {"MESHPROXY_HOME": str(tmp_path), **environ}
    return DoctorContext(Paths.from_environment(variables), variables, cast("Desk", None))


def test_an_answer_or_error_is_made_once(tmp_path: Path) -> None:
    scene, calls = make(tmp_path), []

    def fail() -> None:
        calls.append(1)
        raise UsageError("no")

    for _ in range(2):
        with pytest.raises(UsageError):
            scene.once("x", fail)
    assert calls == [1]


def test_room_comes_from_the_command_line_first(tmp_path: Path) -> None:
    scene = make(tmp_path, MESHAGENT_ROOM="of-variable")
    assert scene.room == "of-variable"
    asked = DoctorContext(scene.paths, scene.environ, scene.desk, None, "asked")
    assert asked.room == "asked"
    assert asked.base_url("anthropic").endswith("/rooms/asked/anthropic")
    assert asked.base_url("openai").endswith("/rooms/asked/openai/v1")


def test_only_those_who_ask_for_the_same_wait(tmp_path: Path) -> None:
    scene, started, release = make(tmp_path), threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        release.wait(30)
        return "slow"

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(scene.once, "slow", slow) for _ in range(2)]
        assert started.wait(30)
        assert scene.once("quick", lambda: "quick") == "quick"
        assert not any(one.done() for one in both)
        release.set()
        assert [one.result() for one in both] == ["slow", "slow"]


def test_offline_no_room_is_asked_for(tmp_path: Path) -> None:
    scene = make(tmp_path)
    assert DoctorContext(scene.paths, scene.environ, scene.desk, offline=True).rooms == ()
