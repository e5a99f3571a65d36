import os
from contextlib import closing
from pathlib import Path

import pytest

from meshproxy_cli.cli import context
from meshproxy_cli.cli.connect import connect, local_database
from meshproxy_cli.client.local import LocalClient
from meshproxy_cli.client.remote import RemoteClient
from meshproxy_cli.errors import CredentialError, NotFoundError, UnavailableError
from meshproxy_cli.settings.edit import add_server
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.runtime import ServerRuntime, write_runtime
from meshproxy_cli.settings.schema import ServerTable
from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import Role


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path))
    return context.paths()


def runtime(paths: Paths, database_url: str) -> None:
    write_runtime(paths, ServerRuntime("http://127.0.0.1:4711", os.getpid(), "p", database_url, 0.0))


def test_the_local_server_is_its_database_whether_it_runs_or_not(paths: Paths) -> None:
    with closing(connect()) as client:
        assert isinstance(client, LocalClient)
        key = client.keys.create(client.project_id, "one")
    assert paths.database.exists()
    runtime(paths, f"sqlite:///{paths.database}")
    with closing(connect("local")) as client:
        assert client.url == "http://127.0.0.1:4711"
        assert [record.id for record in client.keys.list(client.project_id)] == [key.id]


def test_a_local_server_on_another_database_is_asked_over_rest(paths: Paths) -> None:
    runtime(paths, "postgresql://db.example.com/meshproxy")
    assert local_database() is None
    with pytest.raises(CredentialError, match="no access token for the server local"):
        connect()
    context.secrets().set("access-token/local", "t")
    with closing(connect()) as client:
        assert isinstance(client, RemoteClient)
        assert client.url == "http://127.0.0.1:4711"


def test_the_database_in_the_environment_is_the_local_servers(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    runtime(paths, postgres_url)
    monkeypatch.setenv("MESHPROXY_DATABASE_URL", postgres_url)
    with closing(connect("local")) as client:
        _, text = client.access_tokens.create("first", Role.ADMIN)
    monkeypatch.delenv("MESHPROXY_DATABASE_URL")
    with closing(open_store(postgres_url)) as store:
        found = store.access_tokens.check(text)
    assert found is not None
    assert found.name == "first"
    assert not paths.database.exists()


def test_another_server_needs_an_access_token(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    add_server(paths, "team", ServerTable("https://mesh.example.com"))
    with pytest.raises(CredentialError, match="no access token") as refusal:
        connect("team")
    assert "api-key import" in str(refusal.value.hint)
    monkeypatch.setenv("MESHAGENT_TOKEN", "t")
    with closing(connect("team")) as client:
        assert client.url == "https://mesh.example.com"
    with closing(connect("https://other.example.com")) as client:
        assert client.url == "https://other.example.com"
    with pytest.raises(NotFoundError):
        connect("gone")


def test_without_the_extra_the_way_to_it_is_told(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnavailableError) as refusal:
        connect()
    assert 'pip install "meshproxy[proxy]"' in str(refusal.value.hint)
