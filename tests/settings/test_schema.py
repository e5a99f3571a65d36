from pathlib import Path

import pytest

from meshproxy_cli.errors import UsageError
from meshproxy_cli.settings.schema import ServerTable, SettingsError, parse_settings, read_settings, unknown_key

PATH = Path("settings.toml")
GOOD = """\
current = "team"

[servers.team]
url = "https://mesh.example.com/"
project_id = "p"
room = "r"
session = "{agent}-{user}"

[servers.local]
room = "mine"
"""


def test_a_good_file_says_what_it_says() -> None:
    file = parse_settings(GOOD, PATH)
    assert file.current == "team"
    assert file.servers["team"] == ServerTable("https://mesh.example.com", "p", "r", "{agent}-{user}")
    assert file.servers["local"] == ServerTable(None, room="mine")
    assert file.unknown == ()


def test_no_file_is_an_empty_one(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "no").servers == {}


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_settings(tmp_path / "file").current == "team"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('current = "teem"\n' + GOOD.partition("\n")[2], "settings.toml:1: current is 'teem'; it can be local, mesh"),
        ("current = 5", "settings.toml:1: current is 5; it can be local, meshagent"),
        ("servers = 5", "settings.toml:1: servers is a table"),
        ("\nservers.team = 5", "settings.toml:2: servers.team is a table"),
        ("[servers.team]\nroom = 'r'", "settings.toml:1: servers.team has no url"),
        ("[servers.team]\n\nurl = 5", "settings.toml:3: servers.team.url is 5; it is text"),
        ("[servers.team]\nurl = 'mesh'", "settings.toml:2: servers.team.url: 'mesh' is no http"),
        ("[servers.team]\nurl = 'http://mesh'", "settings.toml:2: servers.team.url: .* unencrypted"),
        ("[servers.local]\nroom = ['r']", "settings.toml:2: servers.local.room is"),
        ("[servers.local]\nurl = 'https://x'", "settings.toml:2: the server local is built in"),
        ("[servers.local]\nsession = '{agnet}'", r"settings.toml:2: .* has \{agnet\}; it can have \{agent\}"),
        ("[servers.team]\nurl = 'http://m'\ninsecure_http = 'yes'", "settings.toml:3: .* true or false"),
        ("current = 'a'\ncurrent = 'b'", "settings.toml:2:14: invalid TOML"),
        ("current = ", "settings.toml:1:11: invalid TOML"),
    ],
)
def test_a_wrong_value_is_told_with_file_line_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_settings(text, PATH)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refusal:
        parse_settings("current = 'x'\n[servers.a]\n[servers.b]\nurl = 1\n", PATH)
    assert len(refusal.value.message.splitlines()) == 3


def test_unknown_keys_are_named_with_the_nearest() -> None:
    file = parse_settings("curent = 1\n[servers.team]\nurl = 'https://x'\nrom = 1\ncolor = 1\n", PATH)
    assert [unknown_key(key) for key in file.unknown] == [
        "curent is unknown; did you mean current?",
        "servers.team.rom is unknown; did you mean room?",
        "servers.team.color is unknown; known are url, project_id, room, session, insecure_http",
    ]


def test_plain_http_is_taken_where_it_is_allowed() -> None:
    file = parse_settings("[servers.team]\nurl = 'http://10.0.0.1'\ninsecure_http = true\n", PATH)
    assert file.servers["team"].url == "http://10.0.0.1"


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="can't be read"):
        read_settings(tmp_path / "file")
