import subprocess
import sys

# In a process of its own: what `settle` changes stays changed.
PLAY = """
import gc, resource
from meshproxy_cli.proxy.process import tuning

if {settled}:
    tuning.settle()
    assert gc.get_freeze_count() > 1000, gc.get_freeze_count()
size = 560_000
b"".join([bytes(size), b"1"])
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(200):
    kept = [bytes(size), bytearray(size), b"".join([bytes(size), b"1"])]
    del kept
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, settled: bool) -> int:
    out = subprocess.run([sys.executable, "-c", PLAY.format(settled=settled)], capture_output=True, check=True)
    return int(out.stdout)


def test_the_memory_of_large_bodies_is_kept_for_the_next() -> None:
    assert page_faults(settled=True) < page_faults(settled=False) / 4
