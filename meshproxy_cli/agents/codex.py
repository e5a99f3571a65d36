"""Codex CLI: a provider in `$CODEX_HOME/config.toml` and a profile that uses it."""

import re
from pathlib import Path
from typing import Any

from meshproxy_cli.agents.base import (
    SESSION_HEADER,
    TOKEN_VARIABLE,
    Credentials,
    FileWish,
    Finding,
    Format,
    Launch,
    Setting,
    Slot,
    Target,
    Wish,
    unsupported,
)
from meshproxy_cli.agents.codex_form import ProfileForm, profile_form
from meshproxy_cli.agents.formats.document import KeyPath, Value
from meshproxy_cli.agents.machine import Machine
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

    def wish(self, target: Target) -> Wish:
        _require_usable(target)
        home = codex_home(target.machine)
        form = profile_form(target.machine, self.program)
        provider = _below(("model_providers", target.profile), provider_of(target))
        profile = _profile(target)
        claim = ("model_providers", target.profile)
        config, own = home / "config.toml", home / f"{target.profile}.config.toml"
        if target.standalone:
            if form is ProfileForm.TABLE:
                raise UsageError("this Codex has no profile files", hint="leave --standalone out, or update Codex")
            files = [_file(own, profile + provider, claim)]
        elif form is ProfileForm.TABLE:
            table = ("profiles", target.profile)
            files = [_file(config, [*_default(target), *provider, *_below(table, profile)], claim, table)]
        else:
            files = [
                _file(config, [*_default(target), *provider], claim),
                _file(own, profile, ("model_provider",)),
            ]
        return Wish(tuple(files), try_it=_try_it(target))

    def check(self, target: Target) -> tuple[Finding, ...]:
        return ()

    def launch(self, target: Target, arguments: tuple[str, ...]) -> Launch:
        _require_usable(target)
        pairs = _below(("model_providers", target.profile), provider_of(target)) + _profile(target)
        flags = [part for path, value in pairs for part in ("-c", f"{_dotted(path)}={_toml(value)}")]
        token = (TOKEN_VARIABLE,) if target.credentials is Credentials.ENV else ()
        return Launch((self.program, *flags, *arguments), {}, token_variables=token)

    def snippet(self, target: Target) -> str:
        from meshproxy_cli.agents.formats.document import Change  # noqa: PLC0415
        from meshproxy_cli.agents.formats.toml_document import TomlDocument  # noqa: PLC0415

        document = TomlDocument(b"")
        pairs = _profile(target) + _below(("model_providers", target.profile), provider_of(target))
        document.put([Change(path, value) for path, value in pairs])
        return document.render().decode()


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


def _default(target: Target) -> Pairs:
    return _profile(target) if target.make_default else []


def _below(table: KeyPath, pairs: Pairs) -> Pairs:
    return [((*table, *path), value) for path, value in pairs]


def _file(path: Path, pairs: Pairs, *claims: KeyPath) -> FileWish:
    settings = tuple(Setting(Slot(key), value) for key, value in pairs)
    return FileWish(path, Format.TOML, settings, claims)


def _require_usable(target: Target) -> None:
    if not _PROFILE.fullmatch(target.profile):
        raise UsageError(
            f"{target.profile!r} can't name a Codex profile", hint="letters, digits, - and _ can be used in --profile"
        )
    if target.profile in _RESERVED:
        raise UsageError(
            f"Codex keeps the name {target.profile!r} for a provider of its own", hint="choose another --profile"
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
