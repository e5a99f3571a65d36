import base64
import getpass
import os
import sqlite3

import pytest

from fixtures.commands import Cli
from fixtures.in_process import InProcess
from meshproxy_cli.cli.database import commands as database
from meshproxy_cli.configedit.atomic import locked


def master_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def sealed(cli: Cli) -> list[tuple[str, bytes]]:
    connection = sqlite3.connect(cli.home.state / "data" / "meshproxy.db")
    try:
        return connection.execute("SELECT master_key_id, sealed_secret FROM api_keys").fetchall()
    finally:
        connection.close()


def test_migrate_makes_the_database(cli: Cli) -> None:
    assert "schema" in cli("database", "migrate").stderr
    assert (cli.home.state / "data" / "meshproxy.db").exists()
    cli("database", "migrate")


def test_rotation_with_a_kept_master_key(cli: Cli) -> None:
    cli("api-key", "create", "laptop", "--activate", "--silent")
    before = sealed(cli)
    assert "1 signing secret moved" in cli("database", "rotate-master-key").stderr
    after = sealed(cli)
    assert before[0][0] != after[0][0]
    assert before[0][1] != after[0][1]
    cli("api-key", "create", "another", "--activate", "--silent")
    assert "2 signing secrets moved" in cli("database", "rotate-master-key").stderr


def test_rotation_with_a_master_key_in_the_environment(cli: Cli) -> None:
    old, new = master_key(), master_key()
    cli.guard(old, new)
    create = ("api-key", "create", "laptop", "--activate", "--silent")
    cli(*create, environ={"MESHPROXY_MASTER_KEY": old})
    refused = cli("database", "rotate-master-key", code=2, environ={"MESHPROXY_MASTER_KEY": new})
    assert "NEW,OLD" in refused.stderr
    cli("database", "rotate-master-key", environ={"MESHPROXY_MASTER_KEY": f"{new},{old}"})
    cli(*create, environ={"MESHPROXY_MASTER_KEY": new})
    assert "another master key" in cli(*create, code=3, environ={"MESHPROXY_MASTER_KEY": old}).stderr
    assert "not on this machine" in cli(*create, code=3).stderr


def test_a_master_key_in_a_file_that_others_can_read_is_refused(cli: Cli) -> None:
    cli.home.directory.mkdir(parents=True, exist_ok=True)
    path = cli.home.directory / "master.key"
    path.write_text(master_key())
    path.chmod(0o644)
    create = ("api-key", "create", "laptop", "--activate", "--silent")
    assert "others can read" in cli(*create, code=None, environ={"MESHPROXY_MASTER_KEY_FILE": str(path)}).stderr
    path.chmod(0o600)
    cli(*create, environ={"MESHPROXY_MASTER_KEY_FILE": str(path)})
    assert len(sealed(cli)) == 1


def test_of_two_rotations_one_waits(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_PATIENCE_S", 0.05)
    run("api-key", "create", "laptop", "--activate", "--silent")
    with locked(run.state / "state" / "rotate-master-key"):
        assert "another process" in run("database", "rotate-master-key", code=None).stderr
    assert "1 signing secret moved" in run("database", "rotate-master-key").stderr


def test_a_user_without_a_name_can_rotate(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, where the user is a mere number."""

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nameless)
    run("api-key", "create", "laptop", "--activate", "--silent")
    run("database", "rotate-master-key")
    assert {entry["actor"] for entry in run("audit", "--json").json()["entries"]} == {"unknown"}
