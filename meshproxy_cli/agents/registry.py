"""The list of agents: a new one is added here."""

from meshproxy_cli.agents.aider import Aider
from meshproxy_cli.agents.base import Agent
from meshproxy_cli.agents.claude import Claude
from meshproxy_cli.agents.codex import Codex
from meshproxy_cli.agents.crush import Crush
from meshproxy_cli.agents.goose import Goose
from meshproxy_cli.agents.opencode import OpenCode
from meshproxy_cli.agents.pi import Pi
from meshproxy_cli.agents.snippets import SNIPPETS
from meshproxy_cli.errors import UsageError
from meshproxy_cli.suggest import did_you_mean

AGENTS: tuple[Agent, ...] = (Codex(), Claude(), Pi(), OpenCode(), Crush(), Goose(), Aider(), *SNIPPETS)


def find_agent(name: str) -> Agent:
    """Return the agent of that name. Raises `UsageError` that lists all names."""
    for agent in AGENTS:
        if agent.name == name:
            return agent
    known = [agent.name for agent in AGENTS]
    raise UsageError(f"agent {name!r} not found{did_you_mean(name, known)}", hint=f"known agents: {', '.join(known)}")
