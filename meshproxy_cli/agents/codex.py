"""Codex CLI: a provider in `$CODEX_HOME/config.toml` and a profile that uses it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from meshproxy_cli.agents import codex_check
from meshproxy_cli.agents.base import SESSION_HEADER, TOKEN_VARIABLE, Credentials, Finding, Launch, Target, unsupported
from meshproxy_cli.agents.codex_form import ProfileForm, profile_form
from meshproxy_cli.agents.codex_legacy import Leftovers, find_leftovers
from meshproxy_cli.agents.machine import Machine
from meshproxy_cli.configedit.desired import DesiredConfig, DesiredFile, Format, Setting, Slot
from meshproxy_cli.configedit.formats.document import KeyPath, Value
from meshproxy_cli.errors import UsageError

_RESERVED = frozenset({"openai", "ollama", "lmstudio", "amazon-bedrock", "amazon-bedrock-runtime"})
_PROFILE = re.compile(r"[A-Za-z0-9_-]+")
_HELPER_TIMEOUT_MS = 15_000

Pairs = list[tuple[KeyPath, Value]]


class Codex:
    """See `Agent`."""

    name = "codex"
    title = "Codex CLI"
    program = "codex"
    needs_model = False
    runs_commands = True

    def desired_config(self, target: Target) -> DesiredConfig:
        _require_usable(target)
        home = codex_home(target.machine)
        form = profile_form(target.machine, self.program)
        if target.standalone and form is ProfileForm.TABLE:
            raise UsageError("this Codex has no profile files", hint="leave --standalone out, or update Codex")
        leftovers = Leftovers() if form is ProfileForm.TABLE else find_leftovers(home, target.profile, target.files)
        files = _desired_files(target, home, form)
        return DesiredConfig(_merged(files, leftovers, home), warnings=leftovers.warnings, try_it=_try_it(target))

    def check(self, target: Target) -> tuple[Finding, ...]:
        return codex_check.findings(target)

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        _require_usable(target)
        pairs = _below(("model_providers", target.profile), provider_of(target)) + _profile(target)
        flags = [part for path, value in pairs for part in ("-c", f"{_dotted(path)}={_toml(value)}")]
        token = (TOKEN_VARIABLE,) if target.credentials is Credentials.ENV else ()
        return Launch((self.program, *flags, *arguments), {}, token_variables=token)

    def snippet(self, target: Target) -> str:
        from meshproxy_cli.configedit.formats.document import Change  # noqa: PLC0415
        from meshproxy_cli.configedit.formats.toml_document import TomlDocument  # noqa: PLC0415

        document = TomlDocument(b"")
        pairs = _profile(target) + _below(("model_providers", target.profile), provider_of(target))
        document.put([Change(path, value) for path, value in pairs])
        return document.render().decode()


def _desired_files(target: Target, home: Path, form: ProfileForm) -> tuple[DesiredFile, ...]:
    claim = ("model_providers", target.profile)
    provider = _below(claim, provider_of(target))
    config, own = home / "config.toml", home / f"{target.profile}.config.toml"
    if target.standalone:
        return (_file(own, _profile(target) + provider, claim),)
    shared = (_profile(target) if target.make_default else []) + provider
    if form is ProfileForm.TABLE:
        table = ("profiles", target.profile)
        return (_file(config, shared + _below(table, _profile(target)), claim, table),)
    return _file(config, shared, claim), _file(own, _profile(target), ("model_provider",))


def _merged(desired: tuple[DesiredFile, ...], leftovers: Leftovers, home: Path) -> tuple[DesiredFile, ...]:
    """Add what is moved to what is desired; our own keys win."""
    files = {one.path: one for one in desired}
    removals = (DesiredFile(home / "config.toml", Format.TOML, leftovers.removals),) if leftovers.removals else ()
    for more in (*removals, *leftovers.moved):
        mine = files.get(more.path)
        if mine is None:
            files[more.path] = more
            continue
        ours = {setting.slot for setting in mine.settings}
        added = tuple(setting for setting in more.settings if setting.slot not in ours)
        files[more.path] = replace(mine, settings=(*mine.settings, *added))
    return tuple(files.values())


def codex_home(machine: Machine) -> Path:
    """Return `$CODEX_HOME`; Codex insists that it exists if the variable is set."""
    return machine.directory("CODEX_HOME", ".codex")


def provider_of(target: Target) -> Pairs:
    """Return the provider's keys, relative to its table."""
    pairs: Pairs = [
        (("name",), f"Room {target.room} (meshproxy)"),
        (("base_url",), target.openai_url),
        (("wire_api",), "responses"),
    ]
    if target.credentials is Credentials.ENV:
        pairs.append((("env_key",), TOKEN_VARIABLE))
    pairs.append((("http_headers", SESSION_HEADER), target.session))
    if target.credentials is Credentials.HELPER:
        pairs += [
            (("auth", "command"), target.helper[0]),
            (("auth", "args"), list(target.helper[1:])),
            (("auth", "timeout_ms"), _HELPER_TIMEOUT_MS),
        ]
    return pairs


def _profile(target: Target) -> Pairs:
    pairs: Pairs = [(("model_provider",), target.profile)]
    return pairs + ([(("model",), target.model)] if target.model else [])


def _below(table: KeyPath, pairs: Pairs) -> Pairs:
    return [((*table, *path), value) for path, value in pairs]


def _file(path: Path, pairs: Pairs, *claims: KeyPath) -> DesiredFile:
    settings = tuple(Setting(Slot(key), value) for key, value in pairs)
    return DesiredFile(path, Format.TOML, settings, claims)


def _require_usable(target: Target) -> None:
    if not _PROFILE.fullmatch(target.profile):
        raise UsageError(
            f"invalid Codex profile name {target.profile!r}", hint="use letters, digits, - and _ in --profile"
        )
    if target.profile in _RESERVED:
        raise UsageError(
            f"the name {target.profile!r} is reserved by Codex for a built-in provider", hint="choose another --profile"
        )
    if target.credentials is Credentials.INLINE:
        raise unsupported("Codex", "--credentials inline")
    if target.env_file is not None:
        raise unsupported("Codex", "--env-file")
    if target.project is not None:
        raise unsupported("Codex", "--project")


def _try_it(target: Target) -> str:
    return "codex" if target.make_default else f"codex --profile {target.profile}"


def _dotted(path: KeyPath) -> str:
    return ".".join(path)


def _toml(value: Any) -> str:  # noqa: ANN401 (any TOML value)
    import tomlkit  # noqa: PLC0415 (40 ms)

    return str(tomlkit.item(value).as_string())
