"""Errors that nobody foresaw: counted, and logged in one line each, with a traceback once per place and minute."""

import logging
import time
from collections import Counter

_TRACEBACK_EVERY_S = 60.0
_log = logging.getLogger(__name__)
_traced: dict[str, float] = {}  # when a place last had its traceback in the log; a place is a line of code
#: How many there were since this process started, by type.
counts: Counter[str] = Counter()


def report(problem: BaseException, request_id: str = "") -> None:
    """Count and log an error that no code foresaw; call it where one ends, while the request still has an id."""
    name = type(problem).__name__
    place = _place(problem)
    counts[name] += 1
    now = time.monotonic()
    traces = now - _traced.get(place, -_TRACEBACK_EVERY_S) >= _TRACEBACK_EVERY_S
    if traces:
        _traced[place] = now
    _log.error(
        "unexpected error: %s at %s",
        name,
        place,
        exc_info=problem if traces else None,
        extra={"request_id": request_id},
    )


def _place(problem: BaseException) -> str:
    trace = problem.__traceback__
    if trace is None:
        return "?"
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
