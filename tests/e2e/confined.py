"""Runs a command under a unit's SystemCallFilter=, MemoryDenyWriteExecute= and NoNewPrivileges=, as systemd would.

As a program: `confined.py FILTER… -- COMMAND…`, where a filter is a value of SystemCallFilter=. System calls that are
not allowed fail with EPERM.
"""

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence

_ALLOW = 0x7FFF0000  # SCMP_ACT_ALLOW of libseccomp
_EPERM = 0x00050001  # SCMP_ACT_ERRNO(EPERM)
_NO_NEW_PRIVS, _MDWE = 38, 65  # PR_SET_NO_NEW_PRIVS, PR_SET_MDWE


def members(name: str) -> set[str]:
    """Return the system calls of a set like `@system-service`, or of one by its own name."""
    if not name.startswith("@"):
        return {name}
    listing = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    lines = [line.split("#")[0].strip() for line in listing.stdout.splitlines()[1:]]
    return set().union(*(members(line) for line in lines if line))


def allowed(filters: Sequence[str]) -> set[str]:
    """Return what an allow-list and the deny-lists after it leave; `@default` is always allowed."""
    found: set[str] = set()
    for one in filters:
        named = set().union(*(members(name) for name in one.removeprefix("~").split()))
        found = found - named if one.startswith("~") else found | named
    return found | members("@default")


def confine(calls: set[str]) -> None:
    """Allow this process and its children no other system calls, no new privileges, and no memory to write code to."""
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_MDWE, 1, 0, 0, 0)  # Linux 6.3; older ones refuse, and nothing is lost
    seccomp = ctypes.CDLL("libseccomp.so.2")  # systemd's own
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_EPERM))
    for call in sorted(calls):
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # else this machine has none of that name
            assert seccomp.seccomp_rule_add(context, _ALLOW, number, 0) == 0, call
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    end = sys.argv.index("--")
    confine(allowed(sys.argv[1:end]))
    os.execv(sys.argv[end + 1], sys.argv[end + 1 :])
