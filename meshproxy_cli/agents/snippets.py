"""Programs that are configured in a window of their own: a snippet to paste, nothing is edited."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from meshproxy_cli.agents.base import SESSION_HEADER, Finding, Launch, Target
from meshproxy_cli.configedit.desired import DesiredConfig
from meshproxy_cli.errors import UsageError

_CONTEXT_TOKENS = 128_000
_OUTPUT_TOKENS = 16_384


@dataclass(frozen=True, slots=True)
class SnippetAgent:
    """See `Agent`. `make` returns the snippet, `place` says where it goes."""

    name: str
    title: str
    program: str
    place: str
    make: Callable[[Target, str], str]
    needs_model: ClassVar[bool] = True
    runs_commands: ClassVar[bool] = False

    def desired_config(self, target: Target) -> DesiredConfig:
        raise UsageError(
            f"meshproxy does not edit {self.title}'s files",
            hint=f"meshproxy configure {self.name} --room {target.room} --model NAME --print shows what to paste",
        )

    def check(self, target: Target) -> tuple[Finding, ...]:
        """Return nothing: what was pasted is not looked at."""
        del target
        return ()

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        del target, arguments
        raise UsageError(f"{self.title} can't be launched through a room", hint=f"paste a snippet: {self.name} --print")

    def snippet(self, target: Target) -> str:
        if not target.model:
            raise UsageError(f"{self.title} requires a model", hint="add --model NAME")
        return self.make(target, target.model)


def _json(value: Any) -> str:  # noqa: ANN401 (any JSON value)
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _zed(target: Target, model: str) -> str:
    entry = {
        "api_url": target.openai_url,
        "custom_headers": {SESSION_HEADER: target.session},
        "available_models": [{"name": model, "max_tokens": _CONTEXT_TOKENS}],
    }
    return _json({"language_models": {"openai_compatible": {target.profile: entry}}})


def _continue(target: Target, model: str) -> str:
    return (
        "models:\n"
        f"  - name: {json.dumps(f'{model} ({target.room})')}\n"
        "    provider: openai\n"
        f"    model: {json.dumps(model)}\n"
        f"    apiBase: {json.dumps(target.openai_url)}\n"
        "    apiKey: ${{ secrets.MESHAGENT_ROOM_TOKEN }}\n"
        "    requestOptions:\n"
        "      headers:\n"
        f"        {SESSION_HEADER}: {json.dumps(target.session)}\n"
    )


def _vscode(target: Target, model: str) -> str:
    entry = {
        "id": model,
        "name": f"{model} ({target.room})",
        "url": f"{target.openai_url}/chat/completions",
        "toolCalling": True,
        "vision": True,
        "maxInputTokens": _CONTEXT_TOKENS,
        "maxOutputTokens": _OUTPUT_TOKENS,
        "requestHeaders": {SESSION_HEADER: target.session},
    }
    return _json([{"name": target.profile, "vendor": "customoai", "apiKey": "${input:room-token}", "models": [entry]}])


SNIPPETS = (
    SnippetAgent("zed", "Zed", "zed", "settings.json (the key: in Zed's window, or MESHPROXY_API_KEY)", _zed),
    SnippetAgent("continue", "Continue", "cn", "~/.continue/config.yaml", _continue),
    SnippetAgent("vscode", "VS Code", "code", "chatLanguageModels.json", _vscode),
)
