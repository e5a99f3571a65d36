"""Fixtures for every test; what they do lies in `tests/fixtures/`."""

pytest_plugins = [
    "fixtures.isolation",
    "fixtures.leaks",
    "fixtures.known_secrets",
    "fixtures.commands",
    "fixtures.forkserver",
    "fixtures.in_process",
    "fixtures.furnished",
    "fixtures.own_store",
    "fixtures.interrupts",
    "fixtures.proxies",
    "fixtures.agents",
    "fixtures.secret_service",
    "fixtures.completeness",
    "fixtures.postgres",
]
