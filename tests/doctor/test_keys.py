"""What can be wrong with the API key."""

import uuid

from doctor.ward import Patient
from meshproxy_cli.tokens.apikey import ApiKey


def test_no_key(patient: Patient) -> None:
    patient.cli("secret", "forget", "api-key/local")
    patient.is_cured("api-key")


def test_variable_holds_no_key(patient: Patient) -> None:
    patient.environ["MESHAGENT_API_KEY"] = "ma-cut-off"
    patient.is_cured("api-key")


def test_kept_key_was_cut_off(patient: Patient) -> None:
    content = patient.secrets()
    content["secrets"]["api-key/local"]["value"] = content["secrets"]["api-key/local"]["value"][:40]
    patient.write_secrets(content)
    patient.is_cured("api-key")


def test_key_was_revoked(patient: Patient) -> None:
    key = patient.cli("api-key", "create", "laptop", "--activate", "--json").json()["id"]
    patient.proxy.cli("api-key", "revoke", key, "--yes")  # by somebody else
    patient.is_cured("key-known")


def test_variable_holds_a_key_of_another_server(patient: Patient) -> None:
    key = ApiKey.generate(patient.proxy.key.project_id).encode()
    patient.environ["MESHAGENT_API_KEY"] = key
    assert "does not know" in patient.is_cured("key-known").check("key-known")["found"]


def test_key_of_another_project(patient: Patient) -> None:
    patient.cli("api-key", "import", stdin=ApiKey.generate(str(uuid.uuid4())).encode())
    assert "project" in patient.is_cured("key-known").check("key-known")["found"]
