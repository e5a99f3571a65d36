"""Claude Code: `apiKeyHelper` and `env` in its settings."""

import json
import shlex
from pathlib import Path

from meshproxy_cli.agents import claude_check
from meshproxy_cli.agents.base import SESSION_HEADER, TOKEN_VARIABLE, Credentials, Finding, Launch, Target
from meshproxy_cli.agents.env_file import env_block, env_file_config
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit.desired import DesiredConfig, DesiredFile, Format, Setting, Slot
from meshproxy_cli.configedit.slots import with_header
from meshproxy_cli.errors import UsageError

_HEADERS = "ANTHROPIC_CUSTOM_HEADERS"
_TOKEN = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 (the name of a variable)


class Claude:
    """See `Agent`."""

    name = "claude"
    title = "Claude Code"
    program = "claude"
    needs_model = False
    runs_commands = True

    def desired_config(self, target: Target) -> DesiredConfig:
        if target.env_file is not None:
            return env_file_config(target, self.name, shell_variables(target), (_TOKEN,))
        if target.credentials is Credentials.INLINE:
            raise UsageError("a token is never written into Claude Code's settings", hint="add --env-file .env")
        return DesiredConfig((DesiredFile(_settings_file(target), Format.JSON, _settings(target)),), try_it="claude")

    def check(self, target: Target) -> tuple[Finding, ...]:
        return claude_check.findings(target, claude_home(target.machine), _settings_file(target))

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        if any(argument.partition("=")[0] == "--settings" for argument in arguments):
            raise UsageError("Claude Code takes one --settings, and `launch` needs it", hint="use `configure` instead")
        settings = {"apiKeyHelper": helper_line(target), "env": variables(target) | {_HEADERS: _headers(target)}}
        return Launch((self.program, "--settings", json.dumps(settings), *arguments), {})

    def snippet(self, target: Target) -> str:
        if target.env_file is not None:
            return env_block(target, shell_variables(target), (_TOKEN,))
        env = variables(target) | {_HEADERS: f"{SESSION_HEADER}: {target.session}"}
        return json.dumps({"apiKeyHelper": helper_line(target), "env": env}, indent=2, ensure_ascii=False) + "\n"


def claude_home(machine: Machine) -> Path:
    """Return `$CLAUDE_CONFIG_DIR`, by default `~/.claude`."""
    return machine.directory("CLAUDE_CONFIG_DIR", ".claude")


def _settings_file(target: Target) -> Path:
    if target.project is not None:
        return target.project / ".claude" / "settings.local.json"
    return claude_home(target.machine) / "settings.json"


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


def shell_variables(target: Target) -> dict[str, str]:
    """Return the variables for a shell, the token apart."""
    names = {name: value for name, value in variables(target).items() if name != _TOKEN}
    return names | {_HEADERS: f"{SESSION_HEADER}: {target.session}"}


def _headers(target: Target) -> str:
    """Return the person's own custom headers with ours among them: `--settings` would hide theirs."""
    own = target.machine.environ.get(_HEADERS, "")
    try:
        settings = target.files.parsed(claude_home(target.machine) / "settings.json", claude_check.strict_json)
        own = settings["env"][_HEADERS]
    except (ValueError, KeyError, TypeError):
        # No settings, none that Claude Code could read, or none with headers.
        pass
    return with_header(own, SESSION_HEADER, target.session)


def _settings(target: Target) -> tuple[Setting, ...]:
    env = [Setting(Slot(("env", name)), value) for name, value in variables(target).items()]
    header = Setting(Slot(("env", _HEADERS), SESSION_HEADER), target.session)
    return (Setting(Slot(("apiKeyHelper",)), helper_line(target)), *env, header)
