"""What this process works with: its paths, settings and secrets, told to a person in the one way."""

import os

from meshproxy_cli.cli import output
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import SecretStore, open_secrets
from meshproxy_cli.settings.servers import Settings, load_settings


def paths() -> Paths:
    """Return this user's directories."""
    return Paths.from_environment(os.environ)


def settings() -> Settings:
    """Return this user's settings, and warn of keys in the file that mean nothing."""
    loaded = load_settings(paths(), os.environ)
    if loaded.file.unknown:
        from meshproxy_cli.settings.schema import unknown_key  # noqa: PLC0415 (only for a message)

        for key in loaded.file.unknown:
            output.warn(f"{loaded.file.path}: {unknown_key(key)}")
    return loaded


def secrets() -> SecretStore:
    """Return this user's secrets; a fallback to the file is told on standard error."""
    return open_secrets(paths(), os.environ, warn=output.warn)
