"""opencode: a provider in `opencode.json`, or for one run in `OPENCODE_CONFIG_CONTENT` (seen with 1.18.33)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import SESSION_HEADER, TOKEN_VARIABLE, Launch, Target
from meshproxy_cli.agents.provider_file import ProviderFileAgent, is_anthropic
from meshproxy_cli.configedit.formats.document import KeyPath


class OpenCode(ProviderFileAgent):
    """See `ProviderFileAgent`."""

    name = "opencode"
    title = "opencode"
    program = "opencode"
    install = "npm install -g opencode-ai"
    container = ("provider",)
    runs_commands = False

    def path(self, target: Target) -> Path:
        if chosen := target.machine.environ.get("OPENCODE_CONFIG"):
            return Path(chosen).expanduser().absolute()
        directory = target.machine.config_home() / "opencode"
        commented = directory / "opencode.jsonc"
        return commented if commented.exists() else directory / "opencode.json"

    def provider(self, target: Target) -> Mapping[str, Any]:
        # The SDK for Anthropic appends `/messages` to its base URL, without a version.
        base = f"{target.anthropic_url}/v1" if is_anthropic(target) else target.openai_url
        return {
            "npm": "@ai-sdk/anthropic" if is_anthropic(target) else "@ai-sdk/openai-compatible",
            "name": f"Room {target.room} (meshproxy)",
            "options": {
                "baseURL": base,
                "apiKey": f"{{env:{TOKEN_VARIABLE}}}",
                "headers": {SESSION_HEADER: target.session},
            },
            "models": {str(target.model): {"name": target.model}},
        }

    def defaults(self, target: Target) -> Mapping[KeyPath, Any]:
        return {("model",): self._model(target), ("small_model",): self._model(target)}

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        self.require_usable(target)
        model = self._model(target)
        config = {"model": model, "small_model": model, "provider": {target.profile: self.provider(target)}}
        return Launch(
            (self.program, *arguments),
            {"OPENCODE_CONFIG_CONTENT": json.dumps(config)},
            token_variables=(TOKEN_VARIABLE,),
        )

    def try_it(self, target: Target) -> str:
        return "opencode" if target.make_default else f"opencode --model {self._model(target)}"

    def _model(self, target: Target) -> str:
        return f"{target.profile}/{target.model}"
