import pytest

from fixtures.commands import Cli
from fixtures.secret_service import SecretService

KEY = "sk-hunter2-hunter2"


@pytest.fixture
def provider(cli: Cli) -> Cli:
    """Return a runner in a home that keeps one secret in the file."""
    cli.guard(KEY)
    cli("provider", "add", "openai", "--api-key", "-", stdin=KEY)
    return cli


def test_list_shows_names_and_places(provider: Cli) -> None:
    table = provider("secret", "list").stdout
    assert "provider/openai" in table
    assert "secrets.json" in table
    listed = provider("secret", "list", "--json").json()
    assert listed["keyring"] == "file"
    assert listed["secrets"] == [{"name": "provider/openai", "place": "file", "keyring_name": None}]


def test_an_empty_list_says_so(cli: Cli) -> None:
    result = cli("secret", "list")
    assert (result.stdout, "nothing is kept" in result.stderr) == ("", True)


def test_forget_removes_one(provider: Cli) -> None:
    provider("secret", "forget", "provider/openai")
    assert provider("secret", "list", "--json").json()["secrets"] == []
    assert "no secret named" in provider("secret", "forget", "provider/openai", code=6).stderr


def test_the_master_key_is_not_forgotten_by_chance(cli: Cli) -> None:
    cli("api-key", "create", "a", "--activate")
    refusal = cli("secret", "forget", "master-key", code=2).stderr
    assert "can never be used again" in refusal
    assert "--yes" in refusal
    cli("secret", "forget", "master-key", "--yes")
    assert cli("secret", "forget", "master-key", code=6)


def test_move_to_the_keyring_and_back(provider: Cli, secret_service: SecretService) -> None:
    moved = provider("secret", "move", "--to", "os", environ=secret_service.environ).stderr
    assert "moved to the OS keyring: provider/openai" in moved
    [entry] = provider("secret", "list", "--json", environ=secret_service.environ).json()["secrets"]
    assert entry["place"] == "os"
    assert secret_service.lookup(entry["keyring_name"], "provider/openai") == KEY
    assert KEY not in (provider.home.state / "secrets" / "secrets.json").read_text()
    back = provider("secret", "move", "--to", "file", environ=secret_service.environ).stderr
    assert "unencrypted" in back
    assert secret_service.lookup(entry["keyring_name"], "provider/openai") is None
    again = provider("secret", "move", "--to", "file", environ=secret_service.environ).stderr
    assert "nothing had to be moved" in again


def test_move_without_a_keyring_changes_nothing(provider: Cli) -> None:
    refusal = provider("secret", "move", "--to", "os", code=4, environ={"MESHPROXY_KEYRING": "auto"})
    assert "no usable OS keyring" in refusal.stderr
    assert provider("secret", "list", "--json").json()["secrets"][0]["place"] == "file"


def test_without_a_keyring_one_line_warns(cli: Cli) -> None:
    cli.guard(KEY)
    told = cli("provider", "add", "openai", "--api-key", "-", stdin=KEY, environ={"MESHPROXY_KEYRING": "auto"}).stderr
    [warning] = [line for line in told.splitlines() if line.startswith("warning: ")]
    assert "no usable OS keyring" in warning
    assert f"provider/openai is kept unencrypted in {cli.home.state}/secrets/secrets.json (mode 0600)" in warning


def test_a_hanging_keyring_does_not_hang_the_command(cli: Cli, secret_service: SecretService) -> None:
    cli.guard(KEY)
    cli("provider", "add", "openai", "--api-key", "-", stdin=KEY, environ=secret_service.environ)
    secret_service.stop()
    refusal = cli("secret", "forget", "provider/openai", code=4, environ=secret_service.environ).stderr
    assert "did not answer within 3 s" in refusal
    assert "MESHPROXY_KEYRING=file" in refusal


def test_a_file_that_others_can_read_is_refused(provider: Cli) -> None:
    path = provider.home.state / "secrets" / "secrets.json"
    path.chmod(0o644)
    assert f"chmod 600 {path}" in provider("secret", "list", code=3).stderr


def test_a_wrong_mode_is_told(cli: Cli) -> None:
    assert "auto, os, file" in cli("secret", "list", code=2, environ={"MESHPROXY_KEYRING": "disk"}).stderr
