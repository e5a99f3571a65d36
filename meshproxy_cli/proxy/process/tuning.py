"""How a worker's interpreter is set: for one thread that must never wait, and bodies that come and go all day."""

import ctypes
import gc
import sys

# mallopt(3): parameters of glibc, from malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 64 * 1024 * 1024
_SWITCH_S = 0.0005  # instead of 5 ms: the longest that a request waits for what another thread computes
_COLLECT_EVERY = 20_000  # new objects, instead of 700: a request makes dozens, and nearly none of them in cycles


def settle() -> None:
    """Call once in a worker that is ready to serve.

    glibc gives the memory of a large body back to the kernel at once, and gets it again, page by page and zeroed, for
    the next one: that took more time than all else that is done with such a body. So up to 64 MiB are kept.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_SWITCH_S)
    gc.set_threshold(_COLLECT_EVERY, 20, 20)
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)
            mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
