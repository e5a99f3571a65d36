from pathlib import Path

import pytest

from meshproxy_cli.errors import CredentialError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.references import (
    SecretReferenceError,
    check_reference,
    exposed,
    is_reference,
    resolve_reference,
)
from meshproxy_cli.settings.secrets import SecretStore, open_secrets


@pytest.fixture
def secrets(tmp_path: Path) -> SecretStore:
    store = open_secrets(Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)}), {"MESHPROXY_KEYRING": "file"})
    store.set("provider/openai", "from the keyring")
    return store


def test_each_kind_leads_to_its_secret(secrets: SecretStore, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "key").chmod(0o600)
    environ = {"KEY": "from the environment"}
    assert resolve_reference("env:KEY", secrets, environ) == "from the environment"
    assert resolve_reference("keyring:provider/openai", secrets, environ) == "from the keyring"
    assert resolve_reference(f"file:{tmp_path / 'key'}", secrets, environ) == "from a file"


@pytest.mark.parametrize("reference", ["env:NO", "keyring:no", "file:/no/such/file"])
def test_one_that_leads_nowhere_is_told_by_name(secrets: SecretStore, reference: str) -> None:
    with pytest.raises(CredentialError, match=reference.partition(":")[2]):
        resolve_reference(reference, secrets, {"NO": "  "})


@pytest.mark.parametrize("text", ["sk-hunter2", "", "env:", "keychain:hunter2", "https://hunter2"])
def test_a_key_in_its_place_is_refused_and_not_repeated(secrets: SecretStore, text: str) -> None:
    assert not is_reference(text)
    with pytest.raises(SecretReferenceError) as refusal:
        check_reference(text)
    assert "hunter2" not in refusal.value.message + str(refusal.value.hint)
    assert "provider add" in refusal.value.message
    with pytest.raises(SecretReferenceError):
        resolve_reference(text, secrets, {})


def test_a_key_file_that_others_can_read_is_refused(secrets: SecretStore, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(CredentialError, match="0644") as refusal:
        resolve_reference(f"file:{tmp_path / 'key'}", secrets, {})
    assert "chmod 600" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("mode", "owner", "user", "refused"),
    [
        (0o600, 1000, 1000, False),
        (0o640, 1000, 1000, True),
        (0o604, 1000, 1000, True),
        (0o440, 0, 1000, False),  # a credential of systemd, a secret of Kubernetes
        (0o460, 0, 1000, True),
        (0o444, 0, 1000, True),
        (0o440, 0, 0, True),
        (0o440, 1001, 1000, True),
    ],
)
def test_root_may_hand_a_file_to_a_group(mode: int, owner: int, user: int, *, refused: bool) -> None:
    assert exposed(mode, owner, user) == refused
