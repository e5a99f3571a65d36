"""How long the commands take that agents and scripts wait for, cold, and how much memory: as ratios in one run.

    python benchmarks/cli_start.py [--rounds 15] [--meshagent PATH]

The bar: `token get`, `token generate` and the Tab key in at most a tenth of the time of `meshagent token generate
--help` (`pip install meshagent-cli`, Python 3.13), and at most 45 MiB. Commands take turns, so that a busy moment of
the machine meets all of them; the fastest run of each counts. A peer that is not installed is left out, and without
it only the memory is held to the bar. Exits with 1 where the bar is missed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
MESHPROXY = shutil.which("meshproxy", path=str(Path(sys.executable).parent)) or "meshproxy"
MAX_RATIO = 0.1
MAX_MIB = 45.0
# A key of the test vectors: it signs nothing that any server accepts.
KEY = "ma-PyuMHp1HSmuOVQ8aKzxNXg-fJ5meXQlQN6US.B_wfkK5w-s3cr3t-with-dashes-and_underscores-0123456789abcdef"


@dataclass
class Case:
    """One command and what it took: seconds of wall clock, and peak resident memory in MiB."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=dict)
    held_to_bar: bool = field(default=False, kw_only=True)
    seconds: list[float] = field(default_factory=list)
    mib: float = 0.0

    def run(self) -> None:
        """Run it once, in a process of its own."""
        began = time.perf_counter()
        with subprocess.Popen(
            self.command,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.seconds.append(time.perf_counter() - began)
        if process.returncode != 0:
            raise SystemExit(f"{self.name}: exit code {process.returncode}")
        unit = 1024 * 1024 if sys.platform == "darwin" else 1024
        self.mib = max(self.mib, usage.ru_maxrss / unit)

    @property
    def best(self) -> float:
        return min(self.seconds)


def cases(home: str, meshagent: str | None) -> list[Case]:
    """Return the commands; the peer's is the first where it is installed."""
    spec = str(ROOT / "examples/token-spec.yaml")
    kept, given = (
        {"MESHPROXY_HOME": home, "MESHPROXY_KEYRING": "file"},
        {"MESHPROXY_HOME": home, "MESHAGENT_API_KEY": KEY},
    )
    keep = [MESHPROXY, "api-key", "import", "--quiet"]
    subprocess.run(keep, env={**os.environ, **kept}, input=KEY, text=True, check=True)
    subprocess.run([MESHPROXY, "room", "create", "room", "--quiet"], env={**os.environ, **kept}, check=True)
    ours = [
        Case(
            "meshproxy token get (key in the secrets file)",
            [MESHPROXY, "token", "get", "-r", "room"],
            kept,
            held_to_bar=True,
        ),
        Case(
            "meshproxy token get (key in the environment)",
            [MESHPROXY, "token", "get", "-r", "room"],
            given,
            held_to_bar=True,
        ),
        Case(
            "meshproxy token generate --spec", [MESHPROXY, "token", "generate", "--spec", spec], given, held_to_bar=True
        ),
        Case("meshproxy token generate --help", [MESHPROXY, "token", "generate", "--help"], given),
        Case("Tab behind `meshproxy tok`", [MESHPROXY], kept | tab("meshproxy tok"), held_to_bar=True),
        Case(
            "Tab behind `… usage --session `", [MESHPROXY], kept | tab("meshproxy usage --session "), held_to_bar=True
        ),
        Case("python -c pass", [sys.executable, "-c", "pass"]),
    ]
    peer = [Case("meshagent token generate --help", [meshagent, "token", "generate", "--help"])] if meshagent else []
    return peer + ours


def tab(line: str) -> dict[str, str]:
    """Return the variables by which bash asks what can stand at the end of the line."""
    return {"_MESHPROXY_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}


def main() -> int:
    """Run the commands in turns, print the table and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--meshagent", default=shutil.which("meshagent"), help="the peer's command")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        found = cases(home, options.meshagent)
        for case in found:
            case.run()  # once for the caches of the disk
            case.seconds.clear()
        for _ in range(options.rounds):
            for case in found:
                case.run()
    peer = found[0].best if options.meshagent else None
    return report(found, peer)


def report(found: Sequence[Case], peer: float | None) -> int:
    """Print the table; return 1 where the bar is missed."""
    print(f"{'command':<48}{'seconds':>9}{'ratio':>8}{'MiB':>8}")
    missed = 0
    for case in found:
        ratio = f"{case.best / peer:.3f}" if peer else "-"
        too_much = case.held_to_bar and (case.mib > MAX_MIB or (peer is not None and case.best > MAX_RATIO * peer))
        missed += too_much
        print(f"{case.name:<48}{case.best:>9.3f}{ratio:>8}{case.mib:>8.1f}{'  misses the bar' if too_much else ''}")
    if peer is None:
        print("meshagent is not installed: no ratio")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
