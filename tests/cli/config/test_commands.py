import pytest

from fixtures.commands import Cli


def test_path_is_the_path_alone(cli: Cli) -> None:
    assert cli("config", "path").stdout == f"{cli.home.state}/config/settings.toml\n"


def test_what_is_set_is_shown_with_its_origin(cli: Cli) -> None:
    cli("config", "set", "room", "my-room")
    shown = cli("config", "show", "--json").json()["settings"]
    assert shown["servers.local.room"] == {"value": "my-room", "origin": f"{cli.home.state}/config/settings.toml:2"}
    assert shown["current"] == {"value": "local", "origin": "default"}
    table = cli("config", "show", "--origin").stdout
    assert f"{cli.home.state}/config/settings.toml:2" in table
    assert "settings.toml:2" not in cli("config", "show").stdout


def test_unset_removes_it(cli: Cli) -> None:
    cli("config", "set", "room", "my-room")
    cli("config", "set", "room", "--unset")
    assert "servers.local.room" not in cli("config", "show", "--json").json()["settings"]
    assert "nothing had to be changed" in cli("config", "set", "room", "--unset").stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rom", "x"), "did you mean room"),
        (("room",), "give a value, or --unset"),
        (("room", "x", "--unset"), "give a value, or --unset"),
    ],
)
def test_mistakes_change_nothing(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    assert message in cli("config", "set", *arguments, code=2).stderr
    assert not (cli.home.state / "config" / "settings.toml").exists()


def test_an_unknown_server_changes_nothing(cli: Cli) -> None:
    assert "known are local, meshagent" in cli("config", "set", "current", "gone", code=6).stderr
    assert not (cli.home.state / "config" / "settings.toml").exists()


def test_unknown_keys_are_named_and_do_not_stop_a_command(cli: Cli) -> None:
    cli("config", "set", "room", "r")
    path = cli.home.state / "config" / "settings.toml"
    path.write_text("curent = 'x'\n" + path.read_text())
    told = cli("config", "show").stderr
    assert f"warning: {path}: curent is unknown; did you mean current?" in told


def test_a_broken_file_is_told_with_its_line(cli: Cli) -> None:
    path = cli.home.state / "config" / "settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text("current = 'local'\n\n[servers.team]\nurl = 5\n")
    assert f"{path}:4: servers.team.url is 5" in cli("config", "show", code=2).stderr


def test_secrets_of_the_environment_are_not_shown(cli: Cli) -> None:
    cli.guard("ma-very-secret")
    shown = cli("config", "show", "--json", environ={"MESHAGENT_API_KEY": "ma-very-secret"}).json()["settings"]
    assert shown["api_key"] == {"value": "set (not shown)", "origin": "MESHAGENT_API_KEY"}
