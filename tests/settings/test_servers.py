from pathlib import Path

import pytest

from meshproxy_cli.errors import NotFoundError, UsageError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime
from meshproxy_cli.settings.servers import Server, Settings, check_name, load_settings
from meshproxy_cli.settings.urls import UrlError

TEAM = Server("team", "https://mesh.example.com", "p", "r", "{agent}")
FILE = """\
current = "team"
[servers.team]
url = "https://mesh.example.com"
project_id = "p"
room = "r"
session = "{agent}"
[servers.local]
room = "mine"
[servers.lan]
url = "http://10.0.0.1"
insecure_http = true
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})


def load(paths: Paths, text: str = FILE, **environ: str) -> Settings:
    paths.config_dir.mkdir(parents=True, exist_ok=True)
    paths.settings_file.write_text(text)
    return load_settings(paths, environ)


def test_without_a_file_there_are_two_servers_and_local_is_used(paths: Paths) -> None:
    settings = load_settings(paths, {})
    assert list(settings.servers) == ["local", "meshagent"]
    assert settings.server() == Server("local", "http://127.0.0.1:8765", local=True)
    assert settings.server("meshagent").url == "https://api.meshagent.com"


def test_the_current_server_is_the_files(paths: Paths) -> None:
    assert load(paths).server() == TEAM


def test_an_option_comes_before_the_environment_before_the_file(paths: Paths) -> None:
    settings = load(paths, MESHAGENT_API_URL="https://api.meshagent.com/")
    assert settings.server().name == "meshagent"
    assert settings.server("local").name == "local"


def test_the_url_of_a_known_server_is_that_server(paths: Paths) -> None:
    assert load(paths).server("https://MESH.example.com/") == TEAM
    assert load(paths).server("http://10.0.0.1").name == "lan"


def test_another_url_is_a_server_of_its_own(paths: Paths) -> None:
    server = load(paths).server("https://other.example.com:444/base/")
    assert server == Server("other.example.com:444/base", "https://other.example.com:444/base")


def test_plain_http_by_url_needs_to_be_allowed(paths: Paths) -> None:
    with pytest.raises(UrlError):
        load(paths).server("http://10.0.0.2")
    assert load(paths, MESHPROXY_INSECURE_HTTP="1").server("http://10.0.0.2").url == "http://10.0.0.2"


def test_an_unknown_name_is_told_with_the_known_ones(paths: Paths) -> None:
    with pytest.raises(NotFoundError, match="did you mean team") as refusal:
        load(paths).server("teem")
    assert refusal.value.hint == "known are local, meshagent, team, lan; add it: meshproxy server add teem URL"


def test_the_local_server_is_where_serve_says(paths: Paths) -> None:
    write_runtime(paths, ServerRuntime("http://127.0.0.1:4711/", 1, "its project", "sqlite:///x", 0.0))
    local = load(paths).server("local")
    assert local == Server("local", "http://127.0.0.1:4711", "its project", "mine", None, local=True)
    assert load(paths).server("http://127.0.0.1:4711").local


def test_the_project_of_the_environment_comes_first(paths: Paths) -> None:
    assert load(paths, MESHAGENT_PROJECT_ID="q").server().project_id == "q"


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a/b", "ü", "a\n"])
def test_names_that_would_break_keys_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)
