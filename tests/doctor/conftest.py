"""One Room Proxy for all of doctor's tests, and a patient for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from doctor.ward import Patient, admit
from e2e.provider import RecordingProvider
from fixtures.agents import Agents
from fixtures.commands import Home
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
    return admit(hospital, tmp_path, request.node.name.replace("_", "-"), agents, fork_server.program)
