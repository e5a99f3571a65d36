"""pi: a provider in `~/.pi/agent/models.json` whose key is a command (seen with 0.74.2)."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import SESSION_HEADER, TOKEN_VARIABLE, Credentials, Launch, Target
from meshproxy_cli.agents.provider_file import ProviderFileAgent, is_anthropic

# pi loads it with --extension; it registers the provider that this variable describes.
_EXTENSION = Path(__file__).with_name("pi_extension.js")
_VARIABLE = "MESHPROXY_PI_PROVIDER"


class Pi(ProviderFileAgent):
    """See `ProviderFileAgent`."""

    name = "pi"
    title = "pi"
    program = "pi"
    install = "npm install -g @earendil-works/pi-coding-agent"

    def path(self, target: Target) -> Path:
        return target.machine.directory("PI_CODING_AGENT_DIR", ".pi/agent") / "models.json"

    def provider(self, target: Target) -> Mapping[str, Any]:
        env = target.credentials is Credentials.ENV
        return {
            "baseUrl": target.anthropic_url if is_anthropic(target) else target.openai_url,
            "api": "anthropic-messages" if is_anthropic(target) else "openai-responses",
            "apiKey": TOKEN_VARIABLE if env else f"!{shlex.join(target.helper)}",
            "authHeader": True,
            "headers": {SESSION_HEADER: target.session},
            "models": [{"id": target.model}],
        }

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        self.require_usable(target)
        described = json.dumps({"name": target.profile, "config": self.provider(target)})
        flags = ("--extension", str(_EXTENSION), "--provider", target.profile, "--model", str(target.model))
        return Launch((self.program, *flags, *arguments), {_VARIABLE: described})

    def try_it(self, target: Target) -> str:
        return f"pi --provider {target.profile} --model {target.model}"
