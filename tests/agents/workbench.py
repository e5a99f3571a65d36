"""A machine in a directory, and a quick way through plan, apply and undo."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import Agent, Target
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit import apply as applying
from meshproxy_cli.configedit.atomic import write_atomic
from meshproxy_cli.configedit.plan import Plan, make_plan
from meshproxy_cli.configedit.receipts import Receipt, load_all
from meshproxy_cli.configedit.undo import UndoPlan, make_undo


def write_fast(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write without the disk's acknowledgement: thousands of cases do not wait for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


class Workbench:
    """One user's home with meshproxy's receipts beside it."""

    def __init__(self, root: Path, *, fast: bool = False, **environ: str) -> None:
        self.home = root / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.receipts = root / "receipts"
        self.receipts.mkdir(exist_ok=True)
        self.machine = Machine({"PATH": str(root / "bin"), **environ}, self.home, self.home, root / "system")
        self.context = applying.ApplyContext(
            self.receipts, 1_000_000, "20261123-101500", write_fast if fast else write_atomic
        )

    def target(self, agent: str, **changes: Any) -> Target:
        target = Target(
            room="my-room",
            server="local",
            server_url="http://127.0.0.1:8765",
            session=f"{agent}-laptop",
            helper=("/opt/mesh proxy/bin/meshproxy", "token", "get", "--room", "my-room", "--server", "local"),
            machine=self.machine,
        )
        return replace(target, **changes)

    def receipt(self, agent: str, profile: str = "meshproxy") -> Receipt | None:
        found = [one for one in load_all(self.receipts) if (one.agent, one.profile) == (agent, profile)]
        return found[0] if found else None

    def plan(self, agent: Agent, **changes: Any) -> Plan:
        return self.plan_of(agent, self.target(agent.name, **changes))

    def plan_of(self, agent: Agent, target: Target) -> Plan:
        config = agent.desired_config(target)
        earlier = self.receipt(agent.name, target.profile)
        return make_plan(target.request(agent.name), config, earlier, target.files)

    def apply(self, plan: Plan) -> Receipt:
        return applying.apply(plan, self.context)

    def configure(self, agent: Agent, **changes: Any) -> Plan:
        plan = self.plan(agent, **changes)
        if plan.changes:
            self.apply(plan)
        return plan

    def undo(self, agent: Agent, profile: str = "meshproxy") -> UndoPlan:
        receipt = self.receipt(agent.name, profile)
        assert receipt is not None
        plan = make_undo(receipt)
        applying.undo(plan, self.context)
        return plan

    def files(self) -> dict[str, bytes]:
        """Return every file below the home directory."""
        return {str(p.relative_to(self.home)): p.read_bytes() for p in self.home.rglob("*") if p.is_file()}
