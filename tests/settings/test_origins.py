from pathlib import Path

from meshproxy_cli.settings.origins import Value, all_values
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime
from meshproxy_cli.settings.servers import load_settings

FILE = 'current = "team"\n[servers.team]\nurl = "http://10.0.0.1"\nroom = "r"\ninsecure_http = true\n'


def values(home: Path, **environ: str) -> dict[str, Value]:
    paths = Paths.from_environment({"MESHPROXY_HOME": str(home)})
    return {value.key: value for value in all_values(load_settings(paths, environ), paths, environ)}


def write(home: Path) -> str:
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text(FILE)
    return str(home / "config" / "settings.toml")


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    found = values(tmp_path)
    assert found["current"] == Value("current", "local", "default")
    assert found["servers.local.url"].origin == "default"
    assert found["keyring"] == Value("keyring", "auto", "default")
    assert found["paths.settings_file"].origin == "MESHPROXY_HOME"


def test_each_value_of_the_file_has_its_line(tmp_path: Path) -> None:
    path = write(tmp_path)
    found = values(tmp_path)
    assert found["current"].origin == f"{path}:1"
    assert found["servers.team.url"] == Value("servers.team.url", "http://10.0.0.1", f"{path}:3")
    assert found["servers.team.room"] == Value("servers.team.room", "r", f"{path}:4")
    assert found["servers.team.insecure_http"].text == "true"


def test_the_environment_is_named_and_its_secrets_are_not_shown(tmp_path: Path) -> None:
    write(tmp_path)
    found = values(
        tmp_path,
        MESHAGENT_API_URL="https://api.meshagent.com",
        MESHAGENT_PROJECT_ID="p",
        MESHAGENT_API_KEY="ma-s3cret",
        MESHAGENT_TOKEN="s3cret",
        MESHPROXY_KEYRING="file",
    )
    assert found["current"] == Value("current", "meshagent", "MESHAGENT_API_URL")
    assert found["current.project_id"] == Value("current.project_id", "p", "MESHAGENT_PROJECT_ID")
    assert found["keyring"] == Value("keyring", "file", "MESHPROXY_KEYRING")
    assert found["api_key"].origin == "MESHAGENT_API_KEY"
    assert "s3cret" not in repr(found)


def test_the_running_server_is_named(tmp_path: Path) -> None:
    paths = Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})
    write_runtime(paths, ServerRuntime("http://127.0.0.1:4711", 1, "its project", "sqlite:///x", 0.0))
    found = values(tmp_path)
    assert found["servers.local.url"].origin == f"meshproxy serve ({paths.runtime_file})"
    assert found["servers.local.project_id"].value == "its project"
