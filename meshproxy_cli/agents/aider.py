"""aider: the room's base URL in `~/.aider.conf.yml`, the session's header in `~/.aider.model.settings.yml`."""

import json
import shlex

from meshproxy_cli.agents.base import DIRECTORY, SESSION_HEADER, Credentials, Finding, Launch, Target, unsupported
from meshproxy_cli.agents.common_check import shared_findings
from meshproxy_cli.agents.env_file import env_file_config
from meshproxy_cli.agents.provider_file import is_anthropic
from meshproxy_cli.configedit.desired import DesiredConfig, DesiredFile, Format, Setting, Slot
from meshproxy_cli.errors import UsageError

_SETTINGS = "aider.model.settings.yml"


class Aider:
    """See `Agent`."""

    name = "aider"
    title = "aider"
    program = "aider"
    needs_model = True
    runs_commands = False

    def desired_config(self, target: Target) -> DesiredConfig:
        _require_usable(target)
        home, block = target.machine.home, Slot((target.profile,))
        settings = DesiredFile(home / f".{_SETTINGS}", Format.YAML_BLOCK, (Setting(block, _model_settings(target)),))
        if target.env_file is not None:
            inner = env_file_config(target, self.name, _environ(target), (_key(target),))
            return DesiredConfig(
                (*inner.files, settings), inner.notes, inner.warnings, f"{inner.try_it} --model {_model(target)}"
            )
        if is_anthropic(target):
            raise UsageError("aider takes Anthropic's base URL from a variable only", hint="add --env-file .env")
        lines = f"openai-api-base: {json.dumps(target.openai_url)}\n"
        lines += f"model: {json.dumps(_model(target))}\n" if target.make_default else ""
        config = DesiredFile(home / ".aider.conf.yml", Format.YAML_BLOCK, (Setting(block, lines),))
        token = f'{_key(target)}="$(meshproxy token get --room {shlex.quote(target.room)})"'
        note = f"aider can't run a command for its token: start it with `meshproxy launch aider`, or set {token} first"
        return DesiredConfig((config, settings), (note,), try_it=f"aider --model {_model(target)}")

    def check(self, target: Target) -> tuple[Finding, ...]:
        return tuple(shared_findings(self.program, "pipx install aider-install", target))

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        _require_usable(target)
        flags = ("--model", _model(target), "--model-settings-file", f"{DIRECTORY}/{_SETTINGS}")
        return Launch(
            (self.program, *flags, *arguments),
            _environ(target),
            token_variables=(_key(target),),
            files={_SETTINGS: _model_settings(target)},
        )

    def snippet(self, target: Target) -> str:
        _require_usable(target)
        return f"# ~/.{_SETTINGS}\n{_model_settings(target)}"


def _model(target: Target) -> str:
    prefix = "anthropic" if is_anthropic(target) else "openai"
    return f"{prefix}/{target.model}"


def _key(target: Target) -> str:
    return "ANTHROPIC_API_KEY" if is_anthropic(target) else "OPENAI_API_KEY"


def _environ(target: Target) -> dict[str, str]:
    if is_anthropic(target):
        return {"ANTHROPIC_API_BASE": target.anthropic_url}
    return {"OPENAI_API_BASE": target.openai_url}


def _model_settings(target: Target) -> str:
    header = f"{json.dumps(SESSION_HEADER)}: {json.dumps(target.session)}"
    return f"- name: {json.dumps(_model(target))}\n  extra_params:\n    extra_headers:\n      {header}\n"


def _require_usable(target: Target) -> None:
    if not target.model:
        raise UsageError("aider requires a model", hint="add --model NAME")
    if target.credentials is Credentials.INLINE and target.env_file is None:
        raise UsageError("a token is never written into aider's settings", hint="add --env-file .env")
    for option, value in (("--project", target.project), ("--standalone", target.standalone)):
        if value:
            raise unsupported("aider", option)
