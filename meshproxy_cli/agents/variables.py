"""Variables for any OpenAI- or Anthropic-compatible program, and how each shell quotes them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from meshproxy_cli.agents.base import SESSION_HEADER, Target
from meshproxy_cli.errors import UsageError

_APOSTROPHES = re.compile("(['\u2018\u2019\u201a\u201b])")
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")

#: Variables from which OpenAI's SDKs, Codex and others take whom to bill; they would name the person's own account.
ACCOUNT_VARIABLES = ("OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID", "OPENAI_PROJECT")


class Shell(StrEnum):
    """Who reads the lines."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"
    DOTENV = "dotenv"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable and its value."""

    name: str
    value: str


def room_variables(target: Target, token: str) -> tuple[Variable, ...]:
    """Return what OpenAI's and Anthropic's SDKs, and programs built on them, read.

    `ANTHROPIC_API_KEY` is emptied: where both are set, some programs would send the person's own key to the proxy.
    """
    header = f"{SESSION_HEADER}: {target.session}"
    model = (Variable("ANTHROPIC_MODEL", target.model),) if target.model else ()
    return (
        Variable("OPENAI_BASE_URL", target.openai_url),
        Variable("OPENAI_API_KEY", token),
        Variable("OPENAI_CUSTOM_HEADERS", header),
        Variable("ANTHROPIC_BASE_URL", target.anthropic_url),
        Variable("ANTHROPIC_AUTH_TOKEN", token),
        Variable("ANTHROPIC_API_KEY", ""),
        Variable("ANTHROPIC_CUSTOM_HEADERS", header),
        *model,
    )


def render(variables: Iterable[Variable], shell: Shell, *, unset: Iterable[str] = ()) -> str:
    """Return one line for each variable, for `eval` in that shell or for a `.env` file; `unset` are taken away."""
    lines = [*(_removal(name, shell) for name in unset), *(_line(variable, shell) for variable in variables)]
    return "".join(f"{line}\n" for line in lines)


def _removal(name: str, shell: Shell) -> str:
    match shell:
        case Shell.BASH | Shell.ZSH:
            return f"unset {name}"
        case Shell.FISH:
            return f"set -e {name}"
        case Shell.POWERSHELL:
            return f"Remove-Item Env:{name} -ErrorAction SilentlyContinue"
        case Shell.DOTENV:
            return f"{name}="


def _line(variable: Variable, shell: Shell) -> str:
    name, value = variable.name, variable.value
    match shell:
        case Shell.BASH | Shell.ZSH:
            return f"export {name}={posix_quote(value)}"
        case Shell.FISH:
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"set -gx {name} '{escaped}'"
        case Shell.POWERSHELL:
            # PowerShell takes the typographic apostrophes for quotes too: each is doubled.
            escaped = _APOSTROPHES.sub(r"\1\1", value)
            return f"$env:{name} = '{escaped}'"
        case Shell.DOTENV:
            return f"{name}={dotenv_quote(value)}"


def posix_quote(value: str) -> str:
    """Quote for `sh` and its kin."""
    return value if _PLAIN.fullmatch(value) else "'" + value.replace("'", "'\\''") + "'"


def dotenv_quote(value: str) -> str:
    """Quote for `.env` loaders and shells alike. Raises `UsageError` for what they would read differently."""
    if value == "" or _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\n" not in value:
        return f"'{value}'"
    if not set('"$`\\\n') & set(value):
        return f'"{value}"'
    raise UsageError(
        'an apostrophe together with one of " $ ` \\ is read differently by shells and other loaders of a .env file',
        hint="choose another --session (or --model)",
    )
