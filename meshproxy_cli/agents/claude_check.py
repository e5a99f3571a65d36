"""What on this machine wins over what was configured for Claude Code (seen with 2.1.330).

Settings' `env` wins over the shell's variables, but the variables that choose a cloud provider win over everything.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import Finding, Target
from meshproxy_cli.agents.common_check import shared_findings
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit.files import FileRefusedError, Files

_CLOUDS = ("BEDROCK", "VERTEX", "FOUNDRY", "MANTLE", "ANTHROPIC_AWS", "ANTHROPIC_GOOGLE_CLOUD", "GATEWAY")
_OURS = ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_CUSTOM_HEADERS")
_ASK = "ask who manages this machine"
_OFF = {"", "0", "false", "no", "off"}


def findings(target: Target, home: Path, written: Path) -> tuple[Finding, ...]:
    """Return what keeps Claude Code from using the room; `written` is the settings file that we wrote."""
    return (
        *shared_findings("claude", "npm install -g @anthropic-ai/claude-code", target),
        *_unreadable(target.files, written),
        *_managed(target),
        *_clouds(target, home),
        *_onboarding(target, home),
    )


def login(machine: Machine) -> str | None:
    """Return who is logged in to Claude Code, as far as its files tell (macOS keeps the token in its keychain)."""
    home, files = machine.directory("CLAUDE_CONFIG_DIR", ".claude"), Files()
    kept = _read(files, home / ".credentials.json").get("claudeAiOauth")
    account = _state(files, machine, home).get("oauthAccount")
    if isinstance(account, Mapping) and account.get("emailAddress"):
        return str(account["emailAddress"])
    return "an account" if kept else None


def _unreadable(files: Files, written: Path) -> Iterator[Finding]:
    try:
        files.parsed(written, strict_json)
    except ValueError:
        yield Finding(
            f"{written} has comments or trailing commas, and Claude Code leaves such a file out",
            "take them out; `claude doctor` shows where they are",
            written,
        )


def _managed(target: Target) -> Iterator[Finding]:
    directory = target.machine.root / "etc" / "claude-code"
    for path in (directory / "managed-settings.json", *sorted(directory.glob("managed-settings.d/*.json"))):
        values = _read(target.files, path)
        if "forceLoginMethod" in values:
            yield Finding(
                f"{path} forces a login (forceLoginMethod), so the token command is not used", _ASK, path, managed=True
            )
        yield from _overrides(path, values, _ASK, managed=True)


def _overrides(path: Path, values: Mapping[str, Any], remedy: str, *, managed: bool = False) -> Iterator[Finding]:
    names = [name for name in _OURS if name in _env(values)]
    names += ["apiKeyHelper"] if "apiKeyHelper" in values else []
    if names:
        yield Finding(f"{path} sets {', '.join(names)}, which wins", remedy, path, managed)


def _clouds(target: Target, home: Path) -> Iterator[Finding]:
    project = target.machine.cwd / ".claude"
    paths = dict.fromkeys((home / "settings.json", project / "settings.json", project / "settings.local.json"))
    for name in (f"CLAUDE_CODE_USE_{cloud}" for cloud in _CLOUDS):
        for path in paths:
            if str(_env(_read(target.files, path)).get(name, "")).lower() not in _OFF:
                yield Finding(f"{path} sets {name}, so Claude Code goes to that cloud instead", "take it out", path)
        if target.machine.environ.get(name, "").lower() not in _OFF:
            yield Finding(f"{name} is set, so Claude Code goes to that cloud instead", f"unset {name}")


def _onboarding(target: Target, home: Path) -> Iterator[Finding]:
    state = _state(target.files, target.machine, home)
    if not state.get("hasCompletedOnboarding"):
        yield Finding(
            "Claude Code was not set up on this machine yet, so its first start asks for a theme and a login",
            "`claude -p` works at once; in the window choose a theme and go on, no login is needed",
        )


def _state(files: Files, machine: Machine, home: Path) -> dict[str, Any]:
    moved = "CLAUDE_CONFIG_DIR" in machine.environ
    return _read(files, (home if moved else machine.home) / ".claude.json")


def _read(files: Files, path: Path) -> dict[str, Any]:
    """Return a file's values as Claude Code reads them: a file with comments in it counts for nothing."""
    try:
        values = files.parsed(path, strict_json)
    except (ValueError, FileRefusedError):
        return {}
    return values if isinstance(values, dict) else {}


def strict_json(data: bytes) -> Any:  # noqa: ANN401 (any JSON value)
    """Parse JSON as Claude Code does; raise `ValueError` for comments and trailing commas."""
    try:
        return json.loads((data or b"{}").decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _env(values: Mapping[str, Any]) -> Mapping[str, Any]:
    env = values.get("env")
    return env if isinstance(env, Mapping) else {}
