"""Goose: a custom provider in a file of its own, `~/.config/goose/custom_providers/<name>.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from meshproxy_cli.agents.base import SESSION_HEADER, TOKEN_VARIABLE, Launch, Target
from meshproxy_cli.agents.provider_file import ProviderFileAgent, is_anthropic
from meshproxy_cli.configedit.formats.document import KeyPath
from meshproxy_cli.errors import UsageError

_CONTEXT_TOKENS = 128_000


class Goose(ProviderFileAgent):
    """See `ProviderFileAgent`."""

    name = "goose"
    title = "Goose"
    program = "goose"
    install = "see https://block.github.io/goose"
    container = ()
    runs_commands = False

    def path(self, target: Target) -> Path:
        return target.machine.config_home() / "goose" / "custom_providers" / f"{target.profile}.json"

    def container_of(self, target: Target) -> KeyPath:
        # The file is the provider's alone; its name is what makes it ours.
        del target
        return ()

    def claim(self, target: Target) -> KeyPath:
        del target
        return ("base_url",)

    def provider(self, target: Target) -> Mapping[str, Any]:
        return {
            "name": target.profile,
            "engine": "anthropic" if is_anthropic(target) else "openai",
            "display_name": f"Room {target.room} (meshproxy)",
            "description": "Made by meshproxy configure",
            "api_key_env": TOKEN_VARIABLE,
            "base_url": target.anthropic_url if is_anthropic(target) else f"{target.openai_url}/chat/completions",
            "headers": {SESSION_HEADER: target.session},
            "models": [{"name": target.model, "context_limit": _CONTEXT_TOKENS}],
            "supports_streaming": True,
        }

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        """Use Goose's own OpenAI provider: its variables can name everything, the header included."""
        self.require_usable(target)
        if is_anthropic(target):
            raise UsageError(
                "Goose takes no custom header for Anthropic from its variables",
                hint=f"meshproxy configure goose --room {target.room} --model {target.model}",
            )
        if set(target.session) & set(",="):
            raise UsageError("Goose's variable for headers takes no `,` and no `=`", hint="choose another --session")
        url = urlsplit(target.openai_url)
        environ = {
            "GOOSE_PROVIDER": "openai",
            "GOOSE_MODEL": str(target.model),
            "OPENAI_HOST": f"{url.scheme}://{url.netloc}",
            "OPENAI_BASE_PATH": f"{url.path.lstrip('/')}/chat/completions",
            "OPENAI_CUSTOM_HEADERS": f"{SESSION_HEADER}={target.session}",
        }
        return Launch((self.program, *arguments), environ, token_variables=("OPENAI_API_KEY",))

    def try_it(self, target: Target) -> str:
        return f"GOOSE_PROVIDER={target.profile} GOOSE_MODEL={target.model} goose session"
