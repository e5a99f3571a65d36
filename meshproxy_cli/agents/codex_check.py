"""What on this machine wins over what was configured for Codex."""

from collections.abc import Iterator
from pathlib import Path

from meshproxy_cli.agents.base import Finding, Target
from meshproxy_cli.agents.common_check import shared_findings
from meshproxy_cli.configedit.desired import Format

_MANAGED = "etc/codex/managed_config.toml"


def findings(target: Target) -> tuple[Finding, ...]:
    """Return what keeps Codex from using the room, the most likely first."""
    return (
        *shared_findings("codex", "npm install -g @openai/codex", target),
        *_managed(target),
    )


def _managed(target: Target) -> Iterator[Finding]:
    """Look at the one file that comes before the profile.

    A project's `.codex/config.toml` does not: Codex leaves providers in it out, trusted or not (seen with 0.130.0 and
    0.169.0).
    """
    path = target.machine.root / _MANAGED
    values = target.files.values(path, Format.TOML)
    chosen = values.get("model_provider")
    if chosen is not None and chosen != target.profile:
        yield _finding(path, f'sets model_provider = "{chosen}", which wins')
    providers = values.get("model_providers")
    if isinstance(providers, dict) and target.profile in providers:
        yield _finding(path, f"defines the provider {target.profile} too, and wins")


def _finding(path: Path, what: str) -> Finding:
    return Finding(f"{path} {what}", f"take it out of {path}", path, managed=True)
