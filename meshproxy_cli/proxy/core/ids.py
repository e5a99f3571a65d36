"""Identifiers that sort by the time at which they were made: UUID version 7 (RFC 9562)."""

import os
import time

_last_tick = 0
_tail = ""  # 62 bits of this process, behind the variant: within a process the time alone tells two apart


def _draw_tail() -> None:
    global _tail  # noqa: PLW0603 (a process has one)
    _tail = f"{0x2 << 62 | int.from_bytes(os.urandom(8), 'big') >> 2:016x}"


_draw_tail()
if hasattr(os, "register_at_fork"):  # workers are forked, and must not make each other's ids
    os.register_at_fork(after_in_child=_draw_tail)


def new_id() -> str:
    """Return a UUIDv7 as 32 hex digits: 48 bits of milliseconds, 12 of their fraction, 62 random ones of this process.

    Within one process every id is greater than the one before, also when the clock stands still or steps back.
    """
    global _last_tick  # noqa: PLW0603 (the order of a process's ids is a process-wide fact)
    # 4096 ticks a millisecond: the fraction fills rand_a as RFC 9562, section 6.2, method 3 has it.
    tick = time.time_ns() * 4096 // 1_000_000
    if tick <= _last_tick:
        tick = _last_tick + 1
    _last_tick = tick
    return f"{tick >> 12:012x}7{tick & 0xFFF:03x}{_tail}"


def new_request_id() -> str:
    """Return the id that a request is known by to the client, the logs and the ledger: "req_" and 32 hex digits."""
    return "req_" + new_id()


def as_uuid(ident: str) -> str:
    """Return 32 hex digits as the text of a UUID."""
    return f"{ident[:8]}-{ident[8:12]}-{ident[12:16]}-{ident[16:20]}-{ident[20:]}"


def new_event_id() -> str:
    """Return a UUIDv7 as text. Sorts as text."""
    return as_uuid(new_id())
