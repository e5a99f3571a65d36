"""Fixtures for every test; what they do lies in `tests/fixtures/`."""

from hypothesis import settings

settings.load_profile("ci")  # the same cases every time, and no deadlines: a busy machine is no fault

pytest_plugins = [
    "fixtures.isolation",
    "fixtures.leaks",
    "fixtures.known_secrets",
    "fixtures.commands",
    "fixtures.forkserver",
    "fixtures.in_process",
    "fixtures.populated_home",
    "fixtures.own_store",
    "fixtures.interrupts",
    "fixtures.proxies",
    "fixtures.agents",
    "fixtures.secret_service",
    "fixtures.completeness",
    "fixtures.markers",
    "fixtures.postgres",
]
