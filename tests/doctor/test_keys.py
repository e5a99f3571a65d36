"""What can be wrong with the API key."""

import uuid

import pytest

from doctor.broken_installs import Patient
from meshproxy_cli.tokens.apikey import ApiKey


def test_no_key(patient: Patient) -> None:
    patient.cli("secret", "forget", "api-key/local")
    patient.is_fixed("api-key")


def test_variable_holds_no_key(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_KEY"] = "ma-cut-off"
    patient.is_fixed("api-key")


def test_kept_key_was_cut_off(patient: Patient) -> None:
    content = patient.secrets()
    content["secrets"]["api-key/local"]["value"] = content["secrets"]["api-key/local"]["value"][:40]
    patient.write_secrets(content)
    patient.is_fixed("api-key")


def test_key_was_revoked(patient: Patient) -> None:
    key = patient.cli("api-key", "create", "laptop", "--activate", "--json").json()["id"]
    patient.proxy.cli("api-key", "revoke", key, "--yes")  # by somebody else
    patient.is_fixed("key-known")


def test_variable_holds_a_key_of_another_server(patient: Patient) -> None:
    key = ApiKey.generate(patient.proxy.key.project_id).encode()
    patient.environ["MESHAGENT_API_KEY"] = key
    assert "does not know" in patient.is_fixed("key-known").check("key-known")["found"]


def test_key_of_another_project(patient: Patient) -> None:
    patient.cli("api-key", "import", stdin=ApiKey.generate(str(uuid.uuid4())).encode())
    assert "project" in patient.is_fixed("key-known").check("key-known")["found"]


def keep_access_token(patient: Patient, token: str) -> None:
    url = patient.proxy.url.replace("127.0.0.1", "localhost")
    patient.cli("server", "add", "team", url, "--access-token", "-", "--use", stdin=token)


@pytest.fixture
def member(patient: Patient) -> str:
    """Let the patient use the server as one of others, with an access token; return that token."""
    token = patient.proxy.cli("access", "create", patient.room, "--role", "admin", "--json").json()["value"]
    patient.cli.guard(token)
    keep_access_token(patient, token)
    patient.cli("api-key", "import", stdin=patient.proxy.key.encode())
    patient.environ["MESHAGENT_ROOM"] = patient.room
    return token


def test_access_token_is_taken(patient: Patient, member: str) -> None:
    del member
    found = patient.doctor()
    assert (found.code, found.status("access-token"), found.status("key-known")) == (0, "ok", "ok")
    assert "is known to team" in found.check("key-known")["found"]


def test_access_token_was_revoked(patient: Patient, member: str) -> None:
    keep_access_token(patient, "mpa_of-nobody-at-all")
    patient.is_fixed("access-token", stdin=member)


@pytest.mark.usefixtures("member")
def test_variable_holds_another_access_token(patient: Patient) -> None:
    patient.environ["MESHAGENT_TOKEN"] = "mpa_of-nobody-at-all"
    patient.is_fixed("access-token")


@pytest.mark.usefixtures("member")
def test_variable_names_another_project(patient: Patient) -> None:
    patient.environ["MESHAGENT_PROJECT_ID"] = str(uuid.uuid4())
    patient.is_fixed("access-token")


def test_viewer_has_no_key(patient: Patient, member: str) -> None:
    del member
    patient.cli("secret", "forget", "api-key/team")
    assert patient.doctor().check("api-key")["remedy"].startswith("meshproxy api-key create")
    viewer = patient.proxy.cli("access", "create", patient.room, "--role", "viewer", "--json").json()["value"]
    patient.cli.guard(viewer)
    keep_access_token(patient, viewer)
    patient.is_fixed("api-key", stdin=patient.proxy.key.encode())
