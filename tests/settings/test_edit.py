from pathlib import Path

import pytest

from meshproxy_cli.errors import ConflictError, NotFoundError, UsageError
from meshproxy_cli.settings.edit import add_server, remove_server, set_value, use_server
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.schema import ServerTable, SettingsError, read_settings
from meshproxy_cli.settings.urls import UrlError

FILE = """\
# mine, and it stays

current = "team"   # for now

[servers.team]
url = "https://mesh.example.com"
room   =   'r'  # aligned by hand
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})
    made.config_dir.mkdir(parents=True)
    made.settings_file.write_text(FILE)
    return made


def text(paths: Paths) -> str:
    return paths.settings_file.read_text()


def test_a_value_changes_and_every_other_byte_stays(paths: Paths) -> None:
    assert set_value(paths, "servers.team.room", "other") is True
    assert text(paths) == FILE.replace("'r'", '"other"')


def test_setting_what_is_set_writes_nothing(paths: Paths) -> None:
    before = paths.settings_file.stat().st_ino
    assert set_value(paths, "current", "team") is False
    assert paths.settings_file.stat().st_ino == before


def test_a_key_alone_is_the_current_servers(paths: Paths) -> None:
    set_value(paths, "room", "other")
    set_value(paths, "session", "{agent}")
    assert read_settings(paths.settings_file).servers["team"].room == "other"
    assert read_settings(paths.settings_file).servers["team"].session == "{agent}"


def test_a_value_can_be_removed(paths: Paths) -> None:
    set_value(paths, "room", None)
    assert read_settings(paths.settings_file).servers["team"].room is None
    assert set_value(paths, "room", None) is False


def test_the_first_setting_makes_the_file(tmp_path: Path) -> None:
    paths = Paths.from_environment({"MESHPROXY_HOME": str(tmp_path / "new")})
    set_value(paths, "room", "r")
    assert text(paths) == '[servers.local]\nroom = "r"\n'
    use_server(paths, "meshagent")
    assert read_settings(paths.settings_file).current == "meshagent"
    assert read_settings(paths.settings_file).servers["local"].room == "r"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("rom", "did you mean room"),
        ("servers.team.rom", "did you mean room"),
        ("servers.team", "is not a setting"),
        ("", "is not a setting"),
        ("servers.a b.room", "can't name a server"),
        ("url", "is not a setting; did you mean servers.NAME.url"),
    ],
)
def test_an_unknown_key_is_told_and_nothing_changes(paths: Paths, key: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        set_value(paths, key, "x")
    assert text(paths) == FILE


@pytest.mark.parametrize(
    ("key", "value"),
    [("servers.team.url", "mesh"), ("room", ""), ("servers.team.insecure_http", "maybe")],
)
def test_a_wrong_value_is_told_and_nothing_changes(paths: Paths, key: str, value: str) -> None:
    with pytest.raises(UsageError):
        set_value(paths, key, value)
    assert text(paths) == FILE


def test_an_unknown_server_is_told_and_nothing_changes(paths: Paths) -> None:
    with pytest.raises(NotFoundError, match="did you mean team"):
        set_value(paths, "current", "taem")
    assert text(paths) == FILE


def test_a_wrong_value_can_be_mended(paths: Paths) -> None:
    paths.settings_file.write_text(FILE.replace('"team" ', '"gone" '))
    with pytest.raises(SettingsError):
        read_settings(paths.settings_file)
    use_server(paths, "team")
    assert read_settings(paths.settings_file).current == "team"


def test_a_server_is_added_once(paths: Paths) -> None:
    table = ServerTable("https://new.example.com/", "p", "r")
    assert add_server(paths, "new", table) is True
    assert add_server(paths, "new", table) is False
    assert text(paths).startswith(FILE)
    assert read_settings(paths.settings_file).servers["new"] == ServerTable("https://new.example.com", "p", "r")


def test_another_url_needs_replace(paths: Paths) -> None:
    with pytest.raises(ConflictError, match="already exists: https://mesh"):
        add_server(paths, "team", ServerTable("https://new.example.com"))
    assert text(paths) == FILE
    add_server(paths, "team", ServerTable("https://new.example.com"), replace=True)
    assert read_settings(paths.settings_file).servers["team"] == ServerTable("https://new.example.com", room="r")


def test_names_and_urls_are_checked_first(paths: Paths) -> None:
    with pytest.raises(UsageError, match="built in"):
        add_server(paths, "local", ServerTable("https://x.example.com"))
    with pytest.raises(UrlError):
        add_server(paths, "lan", ServerTable("http://10.0.0.1"))
    add_server(paths, "lan", ServerTable("http://10.0.0.1", insecure_http=True))
    add_server(paths, "lan", ServerTable("https://10.0.0.1"), replace=True)
    assert read_settings(paths.settings_file).servers["lan"] == ServerTable("https://10.0.0.1")


def test_a_removed_server_is_not_the_current_one_any_more(paths: Paths) -> None:
    remove_server(paths, "team")
    assert read_settings(paths.settings_file).servers == {}
    assert read_settings(paths.settings_file).current is None
    assert text(paths).startswith("# mine, and it stays")
    with pytest.raises(NotFoundError):
        remove_server(paths, "team")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "[servers.a]\nurl = 'https://a'\n\n# about b\n[servers.b]\nurl = 'https://b'\n",
            "\n# about b\n[servers.b]\nurl = 'https://b'\n",
        ),
        (
            "current = 'b'\n\n[servers.a]  # goes\n# goes\nurl = 'https://a'\n# about b\n[servers.b]\nurl = 'https://b'\n",
            "current = 'b'\n# about b\n[servers.b]\nurl = 'https://b'\n",
        ),
        ("[servers.a]\r\nurl = 'https://a'\r\n# the end\r\n", "# the end\r\n"),
        (
            "servers.a.url = 'https://a'\nservers.b.url = 'https://b'  # about b\n",
            "servers.b.url = 'https://b'  # about b\n",
        ),
        (
            "[servers]\na.url = 'https://a'\n# about b\nb = { url = 'https://b' }\n",
            "[servers]\n# about b\nb = { url = 'https://b' }\n",
        ),
    ],
)
def test_removing_a_server_keeps_everything_else(paths: Paths, before: str, after: str) -> None:
    paths.settings_file.write_bytes(before.encode())
    assert remove_server(paths, "a") is True
    assert paths.settings_file.read_bytes().decode() == after


def test_a_server_in_an_inline_table_is_removed(paths: Paths) -> None:
    paths.settings_file.write_text("servers = { a = { url = 'https://a' }, b = { url = 'https://b' } }\n")
    remove_server(paths, "a")
    assert list(read_settings(paths.settings_file).servers) == ["b"]


def test_toml_1_1_is_read_and_edited(paths: Paths) -> None:
    paths.settings_file.write_text("[servers]\nteam = {\n  url = 'https://t', # mine\n  room = \"\\e\",\n}\n")
    set_value(paths, "servers.team.session", "s")
    assert read_settings(paths.settings_file).servers["team"] == ServerTable("https://t", room="\x1b", session="s")
    assert "# mine" in text(paths)
