"""Runs the checks side by side: each waits for what it depends on, and one that hangs holds up nobody."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace

from meshproxy_cli.configedit.receipts import Receipt
from meshproxy_cli.doctor.check import Check, CheckResult, Outcome, Status, bad, project_of, unknown
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.redact import Redactor

LIMIT_S = 20.0
LIVE_LIMIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Job:
    """A check as it is run: once, or for one configured agent."""

    check: Check
    receipt: Receipt | None = None

    @property
    def id(self) -> str:
        """The check's id, with the agent and profile that it is about."""
        return self.check.id if self.receipt is None else f"{self.check.id}/{_of(self.receipt)}"

    @property
    def title(self) -> str:
        """What a person reads."""
        if self.receipt is None:
            return self.check.title
        where = "" if self.receipt.scope == "user" else f" ({project_of(self.receipt) or self.receipt.place})"
        return f"{_of(self.receipt)}{where}: {self.check.title}"

    def needs(self, other: "Job") -> bool:
        """Whether this one means nothing while the other one is broken."""
        return other.check.id in self.check.after and other.receipt in {None, self.receipt}


def jobs(checks: Sequence[Check], receipts: Sequence[Receipt]) -> tuple[Job, ...]:
    """Return what is to be run, in the order in which it is shown."""
    once = tuple(Job(check) for check in checks if not check.each and not check.live)
    each = tuple(
        Job(check, receipt)
        for receipt in receipts
        for check in checks
        if check.each and check.only in {"", receipt.agent}
    )
    return (*once, *each, *(Job(check) for check in checks if check.live))


def run(scene: DoctorContext, todo: Sequence[Job]) -> Iterator[CheckResult]:
    """Run all and yield the results in order, each as soon as it and those before it are there."""
    futures: dict[Job, Future[CheckResult]] = {job: Future() for job in todo}
    for job in todo:
        threading.Thread(target=_run, args=(scene, job, futures), daemon=True, name=f"check {job.id}").start()
    start = time.monotonic()
    for job, future in futures.items():
        limit = LIVE_LIMIT_S if job.check.live else LIMIT_S
        try:
            result = future.result(timeout=max(0.01, start + limit - time.monotonic()))
        except FutureTimeoutError:
            result = CheckResult(job.id, job.title, unknown(f"it took more than {limit:.0f} s"), int(limit * 1000))
        if result.outcome.found:
            yield result


def first_failure(results: Sequence[CheckResult]) -> CheckResult | None:
    """Return the first thing to mend: what is broken comes before what may surprise."""
    for wanted in (Status.FAILED, Status.UNKNOWN, Status.WARNING):
        for result in results:
            if result.status is wanted and not result.consequence_of:
                return result
    return None


def exit_code(results: Sequence[CheckResult]) -> int:
    """Return 0 where all is well, 1 where something is broken, 2 where it could not be checked."""
    found = {result.status for result in results}
    if Status.FAILED in found:
        return 1
    return 2 if Status.UNKNOWN in found else 0


def _run(scene: DoctorContext, job: Job, futures: dict[Job, "Future[CheckResult]"]) -> None:
    causes = [future.result() for other, future in futures.items() if job.needs(other)]
    broken = next((one for one in causes if one.status in {Status.FAILED, Status.UNKNOWN}), None)
    if broken is not None:
        root = broken.consequence_of or broken.id
        outcome = unknown(f"could not be checked because of: {root}")
        futures[job].set_result(CheckResult(job.id, job.title, outcome, consequence_of=root))
        return
    start = time.monotonic()
    outcome = _told(scene, _outcome(scene, job))
    futures[job].set_result(CheckResult(job.id, job.title, outcome, int((time.monotonic() - start) * 1000)))


def _outcome(scene: DoctorContext, job: Job) -> Outcome:
    function = job.check.run
    try:
        return function(scene) if job.receipt is None else function(scene, job.receipt)  # type: ignore[call-arg]  # `each` says which
    except MeshproxyError as problem:
        return bad(problem.message, advice=problem.hint or "")
    except Exception as problem:  # noqa: BLE001 (a defect in one check must not hide the others; its text may hold anything)
        return unknown(f"the check itself failed ({type(problem).__name__})", advice="please report it")


def _told(scene: DoctorContext, outcome: Outcome) -> Outcome:
    """Take secrets out: an agent's or a server's own words may hold one."""
    redact = scene.once("redactor", lambda: Redactor(scene.known_secrets))
    return replace(outcome, found=redact(outcome.found), advice=redact(outcome.advice))


def _of(receipt: Receipt) -> str:
    return receipt.agent if receipt.profile == "meshproxy" else f"{receipt.agent} ({receipt.profile})"
