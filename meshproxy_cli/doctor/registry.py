"""The list of checks, in the order of the chain: what comes first can be the cause of what comes later.

A new symptom is a small function in one of the modules, and a line here.
"""

from meshproxy_cli.doctor import agents, database, keyring, keys, live, machine, reads, room, server, versions
from meshproxy_cli.doctor.check import Check

CHECKS: tuple[Check, ...] = (
    Check("python", "meshproxy and Python", machine.python),
    Check("directories", "own directories", machine.directories),
    Check("settings", "settings file", machine.settings_file, after=("directories",)),
    Check("receipts", "what was configured", machine.receipts),
    Check("disk", "room on the disk", machine.disk),
    Check("secrets-file", "secrets file", keyring.secrets_file),
    Check("keyring", "keyring", keyring.keyring, after=("secrets-file", "directories")),
    Check("server", "server", machine.chosen_server, after=("settings",)),
    Check("database", "database", database.database, after=("server",)),
    Check("proxy-variables", "proxy variables", server.proxy_variables, after=("server",), network=True),
    Check("dns", "server's name", server.dns, after=("proxy-variables",), network=True),
    Check("tcp", "server's port", server.tcp, after=("dns",), network=True),
    Check("tls", "certificate", server.tls, after=("tcp",), network=True),
    Check("answers", "server's health", server.answers, after=("tls",), network=True),
    Check("versions", "versions", versions.versions, after=("answers",), network=True),
    Check("clock", "clock", server.clock, after=("answers",), network=True),
    Check("access-token", "access token", keys.access_token, after=("answers", "keyring"), network=True),
    Check("api-key", "API key", keys.api_key, after=("server", "keyring")),
    Check("key-known", "API key at the server", keys.key_known, after=("api-key", "answers", "database"), network=True),
    Check("room", "room", room.room, after=("server", "database")),
    Check("token", "token", room.token, after=("api-key", "room")),
    Check("accepted", "token at the server", room.accepted, after=("token", "key-known", "clock"), network=True),
    Check("models", "models", room.models, after=("accepted",), network=True),
    Check("limits", "limits", room.limits, after=("answers", "room", "database"), network=True),
    Check("dotenv", ".env of this directory", reads.dotenv),
    Check("installed", "program", agents.installed, each=True),
    Check("agent-server", "configured for", agents.elsewhere, after=("server",), each=True),
    Check("agent-settings", "settings", agents.settings, each=True),
    Check("agent-reads", "what it reads", reads.directory, each=True),
    Check("agent-legacy", "old profiles", agents.legacy, after=("installed", "agent-reads"), each=True, only="codex"),
    Check("agent-overrides", "what wins", agents.overrides, after=("installed", "agent-reads"), each=True),
    Check("agent-login", "login", reads.account, each=True, only="claude"),
    Check("agent-helper", "token command", agents.helper, after=("token", "agent-settings"), each=True),
    Check("agent-env-file", ".env file", reads.env_file, each=True),
    Check("live-openai", "a live OpenAI request", live.openai, after=("accepted", "limits"), network=True, live=True),
    Check(
        "live-anthropic",
        "a live Anthropic request",
        live.anthropic,
        after=("accepted", "limits"),
        network=True,
        live=True,
    ),
)
