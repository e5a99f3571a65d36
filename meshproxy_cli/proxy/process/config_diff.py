"""What a new configuration changes, as a person reads it: never with a key."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from meshproxy_cli.proxy.config.server import Provider, ServerConfig

_PROVIDERS = "providers"
_MIB = 1024 * 1024
# As they are called in server.toml.
_NAMES = {
    "limits.largest_body": "limits.max_body_mib",
    "limits.largest_expanded": "limits.max_expanded_mib",
    "limits.idle_s": "limits.idle_timeout_s",
    "limits.connect_s": "limits.connect_timeout_s",
    "strict_rooms": "rooms.strict",
    "price_file": "usage.prices",
    "keep_events_days": "usage.keep_days",
    "open_metrics": "metrics.open",
    "drain.wanted": "usage.on_disconnect",
    "drain.seconds": "usage.drain_seconds",
    "drain.most": "usage.drain_most",
    "log.json": "log.format",
    "server.drain_s": "server.drain_seconds",
}
_AT_START = "server."
_WORDS = {"usage.on_disconnect": ("cancel", "drain"), "log.format": ("people", "json")}


def differences(old: ServerConfig, new: ServerConfig) -> tuple[str, ...]:
    """Return a line for each provider and each setting that is another one."""
    return (*_providers(old, new), *_settings(old, new, ""))


def _providers(old: ServerConfig, new: ServerConfig) -> Iterator[str]:
    before, after = ({(one.name, one.protocol): one for one in config.providers} for config in (old, new))
    for key in sorted(before.keys() | after.keys()):
        name = f"provider {key[0]} ({key[1]})" if key[0] != key[1] else f"provider {key[0]}"
        if key not in before:
            yield f"{name} added: {after[key].base_url}"
        elif key not in after:
            yield f"{name} removed"
        elif before[key] != after[key]:
            yield f"{name}: {', '.join(_of_provider(before[key], after[key]))}"


def _of_provider(old: Provider, new: Provider) -> Iterator[str]:
    if [one.address for one in old.targets] != [one.address for one in new.targets] or old.base_url != new.base_url:
        yield f"base URL {old.base_url} → {new.base_url}" if old.base_url != new.base_url else "other base URLs"
    elif old.targets != new.targets:
        yield "another key, path or header"
    if old.default != new.default:
        yield "the default now" if new.default else "no longer the default"


def _settings(old: object, new: object, prefix: str) -> Iterator[str]:
    for one in fields(old):  # type: ignore[arg-type]  # both are the same dataclass
        if one.name == _PROVIDERS:
            continue
        before, after = getattr(old, one.name), getattr(new, one.name)
        if is_dataclass(before):
            yield from _settings(before, after, f"{prefix}{one.name}.")
        elif before != after:
            name = _NAMES.get(f"{prefix}{one.name}", f"{prefix}{one.name}")
            later = " (needs a restart)" if name.startswith(_AT_START) else ""
            yield f"{name}: {_shown(name, before)} → {_shown(name, after)}{later}"


def _shown(name: str, value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return _WORDS.get(name, ("false", "true"))[value]
    if isinstance(value, int | float):
        return f"{value / _MIB if name.endswith('_mib') else value:g}"
    return str(value)
