"""From an agent and a target to the plan that configures it."""

from pathlib import Path

from meshproxy_cli.agents.base import Agent, Target
from meshproxy_cli.configedit.plan import Plan, make_plan
from meshproxy_cli.configedit.receipts import find


def plan_for(agent: Agent, target: Target, receipts: Path) -> Plan:
    """Plan the agent's files for the target; nothing is written. Raises what `make_plan` raises, and `ReceiptError`."""
    config = agent.desired_config(target)
    earlier = find(receipts, agent.name, target.profile, config.files[0].path)
    return make_plan(target.request(agent.name), config, earlier, target.files)
