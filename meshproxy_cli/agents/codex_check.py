"""What on this machine wins over what was configured for Codex."""

from collections.abc import Iterator
from pathlib import Path

from meshproxy_cli.agents.base import Finding, Target
from meshproxy_cli.agents.codex_legacy import read_toml
from meshproxy_cli.agents.common_check import shared_findings

_MANAGED = "etc/codex/managed_config.toml"


def findings(target: Target, home: Path) -> tuple[Finding, ...]:
    """Return what keeps Codex from using the room, the most likely first."""
    return (
        *shared_findings("codex", "npm install -g @openai/codex", target),
        *_stronger(target, home),
    )


def _stronger(target: Target, home: Path) -> Iterator[Finding]:
    """Look at the files that come before the profile: a trusted project's and a managed one."""
    machine = target.machine
    projects = [directory / ".codex" / "config.toml" for directory in (machine.cwd, *machine.cwd.parents)]
    managed = machine.root / _MANAGED
    for path in (*projects, managed):
        if path.parent == home:
            continue
        values = read_toml(path)
        chosen = values.get("model_provider")
        if chosen is not None and chosen != target.profile:
            yield Finding(
                f'{path} sets model_provider = "{chosen}", which wins', f"take it out of {path}", path, path == managed
            )
        providers = values.get("model_providers")
        if isinstance(providers, dict) and target.profile in providers:
            problem = f"{path} defines the provider {target.profile} too, and wins"
            yield Finding(problem, f"take it out of {path}", path, path == managed)
