"""Crush: a provider in `~/.config/crush/crush.json` whose key is a command."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import DIRECTORY, SESSION_HEADER, TOKEN_VARIABLE, Credentials, Launch, Target
from meshproxy_cli.agents.provider_file import ProviderFileAgent, is_anthropic, leaves
from meshproxy_cli.configedit.desired import Format, Setting, Slot
from meshproxy_cli.configedit.formats.document import KeyPath
from meshproxy_cli.configedit.slots import put

_HOME = "CRUSH_GLOBAL_CONFIG"  # a directory


class Crush(ProviderFileAgent):
    """See `ProviderFileAgent`."""

    name = "crush"
    title = "Crush"
    program = "crush"
    install = "npm install -g @charmland/crush"

    def path(self, target: Target) -> Path:
        chosen = target.machine.environ.get(_HOME)
        directory = Path(chosen).expanduser().absolute() if chosen else target.machine.config_home() / "crush"
        return directory / "crush.json"

    def provider(self, target: Target) -> Mapping[str, Any]:
        env = target.credentials is Credentials.ENV
        return {
            "name": f"Room {target.room} (meshproxy)",
            "type": "anthropic" if is_anthropic(target) else "openai-compat",
            "base_url": target.anthropic_url if is_anthropic(target) else target.openai_url,
            "api_key": f"${TOKEN_VARIABLE}" if env else f"$({shlex.join(target.helper)})",
            "extra_headers": {SESSION_HEADER: target.session},
            "models": [{"id": target.model, "name": target.model}],
        }

    def defaults(self, target: Target) -> Mapping[KeyPath, Any]:
        chosen = {"provider": target.profile, "model": target.model}
        return {(("models", size, key)): value for size in ("large", "small") for key, value in chosen.items()}

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        self.require_usable(target)
        document = target.files.document(self.path(target), Format.JSON)
        ours = {(*self.container_of(target), *path): value for path, value in leaves(self.provider(target))}
        put(document, [Setting(Slot(path), value) for path, value in (ours | dict(self.defaults(target))).items()])
        return Launch((self.program, *arguments), {_HOME: DIRECTORY}, files={"crush.json": document.render().decode()})

    def try_it(self, target: Target) -> str:
        return "crush" if target.make_default else f"crush (choose {target.model} in its list of models)"
