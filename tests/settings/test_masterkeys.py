from pathlib import Path

import pytest

from meshproxy_cli.errors import CredentialError
from meshproxy_cli.settings.masterkeys import find_master_key_text
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import SecretStore, open_secrets


@pytest.fixture
def secrets(tmp_path: Path) -> SecretStore:
    environ = {"MESHPROXY_HOME": str(tmp_path), "MESHPROXY_KEYRING": "file"}
    return open_secrets(Paths.from_environment(environ), environ)


def test_the_variable_comes_first_then_the_file_then_the_secret(secrets: SecretStore, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from file\n")
    file.chmod(0o600)
    assert find_master_key_text({}, lambda: secrets) is None
    secrets.set("master-key", "from secret")
    environ: dict[str, str] = {}
    found = []
    for more in ({}, {"MESHPROXY_MASTER_KEY_FILE": str(file)}, {"MESHPROXY_MASTER_KEY": "from variable"}):
        environ |= more
        key = find_master_key_text(environ, lambda: secrets)
        assert key is not None
        assert key.text not in repr(key)
        found.append((key.text, key.source))
    assert found == [
        ("from secret", "the secret master-key"),
        ("from file", str(file)),
        ("from variable", "MESHPROXY_MASTER_KEY"),
    ]


def test_secrets_are_not_opened_for_a_variable() -> None:
    def never() -> SecretStore:
        raise AssertionError("the keyring was asked")

    assert find_master_key_text({"MESHPROXY_MASTER_KEY": "k"}, never) is not None


def test_a_file_that_is_not_there_is_an_error(secrets: SecretStore, tmp_path: Path) -> None:
    with pytest.raises(CredentialError):
        find_master_key_text({"MESHPROXY_MASTER_KEY_FILE": str(tmp_path / "nothing")}, lambda: secrets)
