from pathlib import Path

import pytest

from meshproxy_cli.errors import CredentialError, UsageError
from meshproxy_cli.settings.credentials import active_api_key, find_access_token, find_room_token
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.secrets import SecretStore, open_secrets


@pytest.fixture
def secrets(tmp_path: Path) -> SecretStore:
    return open_secrets(Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)}), {"MESHPROXY_KEYRING": "file"})


def test_the_command_line_comes_before_the_environment_before_the_keyring(secrets: SecretStore, tmp_path: Path) -> None:
    secrets.set("api-key/team", "of the keyring")
    (tmp_path / "key").write_text("of the file\n")
    environ = {"MESHAGENT_API_KEY": " of the environment\n"}
    found = [
        active_api_key("team", secrets, environ, key_file=tmp_path / "key"),
        active_api_key("team", secrets, environ),
        active_api_key("team", secrets, {"MESHAGENT_API_KEY": ""}),
    ]
    assert [one.value for one in found] == ["of the file", "of the environment", "of the keyring"]
    assert [one.source for one in found] == [
        f"the file {tmp_path / 'key'}",
        "the variable MESHAGENT_API_KEY",
        "the secret api-key/team",
    ]
    assert all(one.value not in repr(one) for one in found)


def test_a_key_is_its_servers(secrets: SecretStore) -> None:
    secrets.set("api-key/other", "k")
    with pytest.raises(CredentialError, match="no API key for the server team") as refusal:
        active_api_key("team", secrets, {})
    assert "api-key create" in str(refusal.value.hint)


def test_a_key_file_must_hold_one(secrets: SecretStore, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    for name in ("empty", "missing"):
        with pytest.raises(UsageError, match=name):
            active_api_key("team", secrets, {"MESHAGENT_API_KEY": "k"}, key_file=tmp_path / name)


def test_access_and_room_tokens(secrets: SecretStore) -> None:
    assert find_access_token("team", secrets, {}) is None
    assert find_room_token("team", "r", secrets) is None
    secrets.set("access-token/team", "a")
    secrets.set("token/team/r", "t")
    assert find_access_token("team", secrets, {}) is not None
    token = find_access_token("team", secrets, {"MESHAGENT_TOKEN": "b"})
    assert token is not None
    assert token.value == "b"
    room_token = find_room_token("team", "r", secrets)
    assert room_token is not None
    assert room_token.value == "t"
