"""What can be wrong with the places of secrets: a real keyring that is locked, silent, forgetful or absent."""

import pytest

from doctor.broken_installs import Patient
from fixtures.secret_service import SecretService


def test_others_can_read_the_secrets_file(patient: Patient) -> None:
    patient.secrets_file.chmod(0o644)
    patient.is_fixed("secrets-file")


def test_fix_mends_what_is_safe(patient: Patient) -> None:
    patient.secrets_file.chmod(0o644)
    well = patient.doctor("--no-live", "--fix", "--yes")
    assert (well.code, well.status("secrets-file")) == (0, "ok")
    assert patient.secrets_file.stat().st_mode & 0o777 == 0o600


def test_secrets_file_is_damaged(patient: Patient) -> None:
    patient.secrets_file.write_text("{" + patient.secrets_file.read_text())
    patient.is_fixed("secrets-file")


def test_secrets_file_is_cut_off(patient: Patient) -> None:
    text = patient.secrets_file.read_text()
    patient.secrets_file.write_text(text[: text.index('"master-key"')])
    assert patient.doctor("--no-live", "--fix", "--yes").status("secrets-file") == "ok"
    assert patient.doctor().status("api-key") == "ok"
    copy = patient.secrets_file.with_name("secrets.json.damaged-1")
    assert copy.stat().st_mode & 0o777 == 0o600


def test_directory_where_the_secrets_file_should_be(patient: Patient) -> None:
    patient.secrets_file.unlink()
    patient.secrets_file.mkdir()
    ill = patient.doctor("--offline")
    assert (ill.code, ill.first) == (1, "secrets-file")
    assert patient.doctor("--offline", remedy=ill.check("secrets-file")["remedy"]).status("secrets-file") == "ok"


def test_unknown_place_for_secrets(patient: Patient) -> None:
    patient.environ["MESHPROXY_KEYRING"] = "bogus"
    patient.is_fixed("keyring")


def test_keyring_is_wanted_and_absent(patient: Patient) -> None:
    patient.environ["MESHPROXY_KEYRING"] = "os"
    patient.is_fixed("keyring")


def test_keyring_forgets(patient: Patient) -> None:
    patient.environ |= {"MESHPROXY_KEYRING": "os", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    patient.is_fixed("keyring")


@pytest.fixture
def kept_in_keyring(patient: Patient, secret_service: SecretService) -> SecretService:
    """Let the patient's key lie in a real keyring."""
    patient.environ |= secret_service.environ
    patient.cli("api-key", "create", "laptop", "--activate", "--silent", environ=patient.environ)
    assert patient.secrets()["secrets"]["api-key/local"]["place"] == "os"
    return secret_service


def test_keyring_is_locked(patient: Patient, kept_in_keyring: SecretService) -> None:
    kept_in_keyring.lock()
    assert "locked" in patient.is_fixed("keyring").check("keyring")["found"]


def test_keyring_hangs(patient: Patient, kept_in_keyring: SecretService) -> None:
    patient.environ["MESHPROXY_KEYRING_TIMEOUT"] = "1"
    kept_in_keyring.stop()
    assert "did not answer" in patient.is_fixed("keyring").check("keyring")["found"]


def test_keyring_is_left_alone_though_the_key_lies_there(patient: Patient, kept_in_keyring: SecretService) -> None:
    del kept_in_keyring
    patient.prelude = "export MESHPROXY_KEYRING=file"
    patient.environ["MESHPROXY_KEYRING"] = "auto"
    patient.is_fixed("keyring")


def test_secrets_file_is_beside_the_database(patient: Patient) -> None:
    former = patient.home.state / "data" / "secrets.json"
    former.parent.mkdir(exist_ok=True, mode=0o700)
    patient.secrets_file.rename(former)
    assert patient.doctor("--no-live").status("secrets-file") == "warning"
    patient.doctor("--no-live", "--fix", "--yes")
    assert patient.doctor("--no-live").status("api-key") == "ok"
