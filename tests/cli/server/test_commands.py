import pytest

from fixtures.commands import Cli

URL = "https://mesh.example.com"


def test_add_use_list_remove(cli: Cli) -> None:
    added = cli("server", "add", "team", URL + "/", "--room", "r", "--project-id", "p").stderr
    assert "commands still use local" in added
    cli("server", "use", "team")
    servers = {server["name"]: server for server in cli("server", "list", "--json").json()["servers"]}
    assert list(servers) == ["local", "meshagent", "team"]
    assert servers["team"] == {
        "name": "team",
        "url": URL,
        "current": True,
        "local": False,
        "project_id": "p",
        "room": "r",
        "session": None,
        "secrets": [],
    }
    assert cli("server", "list").stdout.splitlines()[3].split()[:4] == ["*", "team", URL, "r"]
    assert "commands use local now" in cli("server", "remove", "team").stderr
    assert cli("server", "remove", "team", code=6)


def test_an_access_token_is_kept_and_goes_with_the_server(cli: Cli) -> None:
    cli.guard("s3cret-access-token")
    cli("server", "add", "team", URL, "--access-token", "-", "--use", stdin="s3cret-access-token\n")
    [team] = [server for server in cli("server", "list", "--json").json()["servers"] if server["name"] == "team"]
    assert team["secrets"] == ["access-token/team"]
    cli("server", "remove", "team")
    assert cli("secret", "list", "--json").json()["secrets"] == []


def test_a_token_in_the_arguments_is_refused(cli: Cli) -> None:
    refusal = cli("server", "add", "team", URL, "--access-token", "s3cret-token", code=2).stderr
    assert "where others can see it" in refusal
    assert "s3cret-token" not in refusal
    assert not (cli.home.state / "config" / "settings.toml").exists()


def test_without_a_terminal_a_secret_is_not_asked_for(cli: Cli) -> None:
    refusal = cli("provider", "add", "openai", code=2).stderr
    assert "--api-key - < FILE" in refusal
    assert not (cli.home.state / "config").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("team", "http://10.0.0.1"), 2, "unencrypted"),
        (("team", "https://me:hunter2@x"), 2, "user name or password"),
        (("local", URL), 2, "built in"),
        (("a.b", URL), 2, "can't name a server"),
        (("team", "mesh"), 2, "no http or https URL"),
    ],
)
def test_mistakes_change_nothing(cli: Cli, arguments: tuple[str, ...], code: int, message: str) -> None:
    refusal = cli("server", "add", *arguments, code=code).stderr
    assert message in refusal
    assert "hunter2" not in refusal
    assert not (cli.home.state / "config" / "settings.toml").exists()


def test_another_url_needs_replace(cli: Cli) -> None:
    cli("server", "add", "team", URL)
    assert "--replace" in cli("server", "add", "team", "https://other.example.com", code=5).stderr
    cli("server", "add", "team", "https://other.example.com", "--replace")


def test_an_unknown_server_is_told(cli: Cli) -> None:
    assert "known are local, meshagent" in cli("server", "use", "gone", code=6).stderr
    assert "built in" in cli("server", "remove", "local", code=5).stderr


def test_a_variable_that_comes_first_is_told(cli: Cli) -> None:
    cli("server", "add", "team", URL)
    told = cli("server", "use", "team", environ={"MESHAGENT_API_URL": "https://other.example.com"}).stderr
    assert "MESHAGENT_API_URL is set and comes first" in told
    listed = cli("server", "list", "--json", environ={"MESHAGENT_API_URL": "https://other.example.com"}).json()
    assert [server["name"] for server in listed["servers"] if server["current"]] == ["other.example.com"]
