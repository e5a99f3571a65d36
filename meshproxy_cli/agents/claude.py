"""Claude Code: `apiKeyHelper` and `env` in its settings."""

import json
import shlex
from pathlib import Path

from meshproxy_cli.agents.base import (
    SESSION_HEADER,
    TOKEN_VARIABLE,
    Credentials,
    FileWish,
    Finding,
    Format,
    Launch,
    Setting,
    Slot,
    Target,
    Wish,
)
from meshproxy_cli.agents.machine import Machine

_HEADERS = "ANTHROPIC_CUSTOM_HEADERS"


class Claude:
    """See `Agent`."""

    name = "claude"
    title = "Claude Code"
    program = "claude"

    def wish(self, target: Target) -> Wish:
        path = claude_home(target.machine) / "settings.json"
        if target.project is not None:
            path = target.project / ".claude" / "settings.local.json"
        return Wish((FileWish(path, Format.JSON, _settings(target)),), try_it="claude")

    def check(self, target: Target) -> tuple[Finding, ...]:
        return ()

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        settings = {
            "apiKeyHelper": helper_line(target),
            "env": variables(target) | {_HEADERS: f"{SESSION_HEADER}: {target.session}"},
        }
        return Launch((self.program, "--settings", json.dumps(settings), *arguments), {})

    def snippet(self, target: Target) -> str:
        env = variables(target) | {_HEADERS: f"{SESSION_HEADER}: {target.session}"}
        return json.dumps({"apiKeyHelper": helper_line(target), "env": env}, indent=2, ensure_ascii=False) + "\n"


def claude_home(machine: Machine) -> Path:
    """Return `$CLAUDE_CONFIG_DIR`, by default `~/.claude`."""
    return machine.directory("CLAUDE_CONFIG_DIR", ".claude")


def helper_line(target: Target) -> str:
    """Return the shell line that prints the token."""
    if target.credentials is Credentials.ENV:
        return f'printf %s "${TOKEN_VARIABLE}"'
    return shlex.join(target.helper)


def variables(target: Target) -> dict[str, str]:
    """Return the variables for `env`, the header apart.

    The two empty ones cancel a key that is exported in the shell: it would be sent to the proxy otherwise.
    """
    model = {"ANTHROPIC_MODEL": target.model} if target.model else {}
    return {
        "ANTHROPIC_BASE_URL": target.anthropic_url,
        "ANTHROPIC_AUTH_TOKEN": "",
        "ANTHROPIC_API_KEY": "",
        **model,
    }


def _settings(target: Target) -> tuple[Setting, ...]:
    env = [Setting(Slot(("env", name)), value) for name, value in variables(target).items()]
    header = Setting(Slot(("env", _HEADERS), SESSION_HEADER), target.session)
    return (Setting(Slot(("apiKeyHelper",)), helper_line(target)), *env, header)
