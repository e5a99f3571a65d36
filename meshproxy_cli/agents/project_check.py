"""What a repository's own files would change about where an agent sends prompts and its token.

Nobody who clones a repository has agreed to that, and some agents read these files before they ask for trust.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import Finding, Target
from meshproxy_cli.configedit.formats.document import FormatError
from meshproxy_cli.configedit.formats.json_document import JsonDocument
from meshproxy_cli.configedit.formats.toml_document import TomlDocument

_MOST_READ = 1024 * 1024
_MOST_NAMED = 6
# Variables that lead requests elsewhere, hand out a credential, or run code in the agent or its token command.
_DIVERTING = re.compile(
    r"(?:(?:ANTHROPIC|OPENAI|CLAUDE_CODE|CODEX|MESHPROXY|MESHAGENT|OPENCODE|CRUSH|GOOSE|AIDER)_\w*"
    r"(?:URL|API_BASE|HOST|TOKEN|KEY|HEADERS|SOCKET|HOME|CONFIG\w*|DATABASE\w*|KEYRING)"
    r"|(?:HTTPS?|ALL|NO)_PROXY|OTEL_EXPORTER_\w+|SSL_CERT_(?:FILE|DIR)|NODE_(?:OPTIONS|PATH|EXTRA_CA_CERTS"
    r"|TLS_REJECT_UNAUTHORIZED)|PYTHON\w+|LD_\w+|DYLD_\w+|PATH|BASH_ENV|ENV|SHELL)",
    re.IGNORECASE,
)
# Keys of Claude Code's settings that name a command whose output it uses as a credential.
_CLAUDE_COMMANDS = ("apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "gcpAuthRefresh", "otelHeadersHelper")
_CLAUDE_OURS = frozenset(
    {"ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_CUSTOM_HEADERS", "apiKeyHelper"}
)
_CODEX_KEYS = ("openai_base_url", "chatgpt_base_url", "experimental_realtime_ws_base_url", "otel", "notify")
_AIDER_KEY = re.compile(
    r"^(openai-api-base|openai-api-key|anthropic-api-key|api-key|set-env|env-file|model-settings-file|no-verify-ssl)\s*:",
    re.MULTILINE,
)
_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*[\"']?([^\n]*)", re.MULTILINE)
#: The agents that read a `.env` file of the directory they are started in.
_READ_DOTENV = frozenset({"aider", "crush", "opencode", "goose"})
_SENDS = "prompts and the token go where the repository says"


def project_findings(agent: str, target: Target) -> Iterator[Finding]:
    """Report every file of this repository that diverts the agent; files that we wrote are left out."""
    for directory in target.machine.project_directories():
        for path, names in _diverted(agent, directory, target):
            shown = ", ".join(names[:_MOST_NAMED]) + (" and more" if len(names) > _MOST_NAMED else "")
            yield Finding(f"{path} sets {shown}, which wins: {_SENDS}", _REMEDIES.get(agent, _TAKE_OUT), path)


_TAKE_OUT = "take it out unless you trust it"
_REMEDIES = {"claude": "take it out, or configure this project: add --project"}


def _diverted(agent: str, directory: Path, target: Target) -> Iterator[tuple[Path, list[str]]]:
    found: list[tuple[Path, list[str]]] = []
    if agent == "claude":
        found = list(_claude(directory, target))
    elif agent == "codex":
        path = directory / ".codex" / "config.toml"
        if path != target.machine.directory("CODEX_HOME", ".codex") / "config.toml":
            found = [(path, [key for key in _CODEX_KEYS if key in _toml(path)])]
    elif agent == "opencode":
        for name in ("opencode.json", "opencode.jsonc", ".opencode/opencode.json", ".opencode/opencode.jsonc"):
            found.append((directory / name, _providers(_json(directory / name), "provider", target)))
    elif agent == "crush":
        for name in ("crush.json", ".crush.json"):
            found.append((directory / name, _providers(_json(directory / name), "providers", target)))
    elif agent == "aider":
        path = directory / ".aider.conf.yml"
        found = [(path, list(dict.fromkeys(_AIDER_KEY.findall(_text(path)))))]
    if agent in _READ_DOTENV and target.env_file != directory / ".env":
        found.append((directory / ".env", _dotenv(_text(directory / ".env"), target)))
    return (one for one in found if one[1])


def _claude(directory: Path, target: Target) -> Iterator[tuple[Path, list[str]]]:
    folder = directory / ".claude"
    if folder == target.machine.directory("CLAUDE_CONFIG_DIR", ".claude"):
        return  # the person's own
    # With `--project` ours are in the strongest of these files, whatever the others say.
    ours = _CLAUDE_OURS if target.project == directory else frozenset()
    for name in ("settings.local.json", "settings.json"):
        values = _json(folder / name)
        env = values.get("env")
        names = [one for one in env if _DIVERTING.fullmatch(one)] if isinstance(env, Mapping) else []
        names += [key for key in _CLAUDE_COMMANDS if key in values]
        yield folder / name, [one for one in names if one not in ours]


def _leads_to_us(url: str, target: Target) -> bool:
    return url == target.server_url or url.startswith(f"{target.server_url}/rooms/")


def _providers(values: Mapping[str, Any], table: str, target: Target) -> list[str]:
    """Return the providers of a project's file that have an address, or stand in the place of ours."""
    providers = values.get(table)
    if not isinstance(providers, Mapping):
        return []
    return [f"{table}.{name}" for name, one in providers.items() if name == target.profile or _has_address(one)]


def _has_address(provider: object) -> bool:
    if not isinstance(provider, Mapping):
        return False
    options = provider.get("options")
    places = [provider, options if isinstance(options, Mapping) else {}]
    return any(key in place for place in places for key in ("baseURL", "base_url", "api", "apiKey", "api_key"))


def _dotenv(text: str, target: Target) -> list[str]:
    found = dict(_ASSIGNMENT.findall(text))
    # A key alone diverts nothing; our own block names our addresses.
    leads = [name for name in found if _DIVERTING.fullmatch(name) and not name.upper().endswith(("_KEY", "_TOKEN"))]
    return [name for name in leads if not _leads_to_us(found[name].rstrip("\"' \r"), target)]


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return JsonDocument(_text(path).encode()).plain()
    except (FormatError, ValueError, RecursionError):
        return {}


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return TomlDocument(_text(path).encode()).plain()
    except (FormatError, ValueError, RecursionError):
        return {}


def _text(path: Path) -> str:
    """Return a file's text as far as it is worth reading; a repository may hold anything under this name."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return file.read(_MOST_READ).decode("utf-8-sig", errors="replace")
