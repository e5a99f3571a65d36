"""How checks are run: in order, side by side, with the cause before its consequences."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor import run as running
from meshproxy_cli.doctor.check import Check, CheckResult, Outcome, Status, bad, doubtful, good, unknown
from meshproxy_cli.doctor.scene import Desk, DoctorContext
from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.paths import Paths


@pytest.fixture
def scene(tmp_path: Path) -> DoctorContext:
    environ = {"MESHPROXY_HOME": str(tmp_path)}
    return DoctorContext(Paths.from_environment(environ), environ, cast("Desk", None))


def results(scene: DoctorContext, *checks: Check) -> list[CheckResult]:
    return list(running.run(scene, running.jobs(checks, ())))


def test_consequences_name_their_root_cause(scene: DoctorContext) -> None:
    found = results(
        scene,
        Check("a", "a", lambda _: bad("broken", "mend")),
        Check("b", "b", lambda _: good("never run"), after=("a",)),
        Check("c", "c", lambda _: good("never run"), after=("b",)),
    )
    assert [(one.id, one.status, one.consequence_of) for one in found] == [
        ("a", Status.FAILED, ""),
        ("b", Status.UNKNOWN, "a"),
        ("c", Status.UNKNOWN, "a"),
    ]
    assert running.first_failure(found) is found[0]


def test_a_check_of_one_agent_is_not_made_for_others() -> None:
    check = Check("login", "login", lambda _, __: good("x"), each=True, only="claude")
    receipts = [cast("Receipt", SimpleNamespace(agent=name, profile="meshproxy")) for name in ("codex", "claude")]
    assert [job.receipt for job in running.jobs([check], receipts)] == [receipts[1]]


def test_a_warning_stops_nothing(scene: DoctorContext) -> None:
    found = results(scene, Check("a", "a", lambda _: doubtful("odd")), Check("b", "b", lambda _: good("ok"), ("a",)))
    assert [one.status for one in found] == [Status.WARNING, Status.OK]


def test_what_hangs_holds_up_nobody(scene: DoctorContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT_S", 0.2)
    release = threading.Event()

    def hang(_: DoctorContext) -> Outcome:
        release.wait(30)
        return good("too late")

    found = results(scene, Check("a", "a", hang), Check("b", "b", lambda _: good("ok")))
    release.set()
    assert [one.status for one in found] == [Status.UNKNOWN, Status.OK]


def test_errors_and_defects_become_results(scene: DoctorContext) -> None:
    def refuse(_: DoctorContext) -> Outcome:
        raise UsageError("that is wrong", hint="do this")

    def fail(_: DoctorContext) -> Outcome:
        raise ZeroDivisionError("a secret")

    refused, failed = results(scene, Check("a", "a", refuse), Check("b", "b", fail))
    assert (refused.outcome.found, refused.outcome.advice) == ("that is wrong", "do this")
    assert failed.status is Status.UNKNOWN
    assert "secret" not in failed.outcome.found


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [([good("")], 0), ([doubtful("")], 0), ([unknown("")], 2), ([unknown(""), bad("")], 1)],
)
def test_exit_code(outcomes: list[Outcome], code: int) -> None:
    assert running.exit_code([CheckResult("x", "x", outcome) for outcome in outcomes]) == code
