"""One Room Proxy for all of doctor's tests, and a patient for each."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from doctor.broken_installs import Patient, admit, owner
from e2e.provider import ANTHROPIC_KEY, OPENAI_KEY, RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Cli, Home
from fixtures.forkserver import ForkServer
from fixtures.proxies import RoomProxy, running_proxy


@pytest.fixture(scope="session")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoomProxy]:
    """Run a Room Proxy in front of a recording provider."""
    with RecordingProvider() as provider, running_proxy(Home(tmp_path_factory.mktemp("hospital")), provider) as running:
        yield running


@pytest.fixture
def patient(
    hospital: RoomProxy, fork_server: ForkServer, tmp_path: Path, agents: Agents, request: pytest.FixtureRequest
) -> Patient:
    """Return a user of the shared server for whom everything works, in a room of the test's own."""
    return admit(hospital, tmp_path, _room_of(request), agents, fork_server.program)


@pytest.fixture(scope="session")
def strict_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoomProxy]:
    """Run a Room Proxy that knows no room but those that were created, with its providers in `server.toml`."""
    home = Home(tmp_path_factory.mktemp("strict"))
    with RecordingProvider() as provider:
        add = partial(Cli(home), "provider", "add")
        add("openai", "--base-url", f"{provider.origin}/v1", "--api-key", "-", stdin=OPENAI_KEY)
        add("anthropic", "--base-url", provider.origin, "--api-key", "-", stdin=ANTHROPIC_KEY)
        with (home.state / "config" / "server.toml").open("a") as file:
            file.write("[rooms]\nstrict = true\n")
        with running_proxy(home, provider) as running:
            yield running


@pytest.fixture
def strict_owner(
    strict_hospital: RoomProxy, fork_server: ForkServer, agents: Agents, request: pytest.FixtureRequest
) -> Patient:
    """Return the user who runs the strict server, in a room of the test's own that is not created yet."""
    return owner(strict_hospital, _room_of(request), agents, fork_server.program)


def _room_of(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W+|_", "-", request.node.name).strip("-")
