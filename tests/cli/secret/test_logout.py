from fixtures.commands import Cli
from fixtures.secret_service import SecretService

KEY = "sk-hunter2-hunter2"


def names(cli: Cli) -> list[str]:
    return [secret["name"] for secret in cli("secret", "list", "--json").json()["secrets"]]


def test_everything_goes_from_both_places(cli: Cli, secret_service: SecretService) -> None:
    cli.guard(KEY)
    cli("provider", "add", "openai", "--api-key", "-", stdin=KEY, environ=secret_service.environ)
    cli("provider", "add", "anthropic", "--api-key", "-", stdin=KEY)
    [in_keyring] = [s["keyring_name"] for s in cli("secret", "list", "--json").json()["secrets"] if s["keyring_name"]]
    assert secret_service.lookup(in_keyring, "provider/openai") == KEY
    assert "removed 2 secrets" in cli("logout", environ=secret_service.environ).stderr
    assert secret_service.lookup(in_keyring, "provider/openai") is None
    assert KEY not in (cli.home.state / "secrets" / "secrets.json").read_text()
    assert names(cli) == []
    assert "nothing was kept" in cli("logout").stderr


def test_what_cannot_be_removed_is_named_and_the_rest_goes(cli: Cli, secret_service: SecretService) -> None:
    cli("provider", "add", "openai", "--api-key", "-", stdin=KEY, environ=secret_service.environ)
    cli("provider", "add", "anthropic", "--api-key", "-", stdin=KEY)
    secret_service.lock()
    refusal = cli("logout", code=4, environ=secret_service.environ).stderr
    assert "locked; not removed: provider/openai" in refusal
    assert names(cli) == ["provider/openai"]


def test_a_database_does_not_become_unreadable_unasked(cli: Cli) -> None:
    cli("api-key", "create", "a", "--activate")
    cli("provider", "add", "openai", "--api-key", "-", stdin=KEY)
    before = names(cli)
    assert "can never be used again" in cli("logout", code=2).stderr
    assert names(cli) == before
    cli("logout", "--keep-server")
    assert names(cli) == ["master-key", "provider/openai"]
    cli("logout", "--yes")
    assert names(cli) == []


def test_variables_that_still_hold_a_key_are_named(cli: Cli) -> None:
    told = cli("logout", environ={"MESHAGENT_API_KEY": "ma-secret"}).stderr
    assert "MESHAGENT_API_KEY is still set" in told
    assert "ma-secret" not in told
