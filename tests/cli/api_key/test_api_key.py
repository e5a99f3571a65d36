"""`meshproxy api-key …` against the store of this machine, and against MeshAgent's service without an access token."""

import shlex
import subprocess
from typing import Any

import pytest

from fixtures.commands import Cli
from fixtures.in_process import InProcess
from meshproxy_cli.cli.api_key import create as create_module
from meshproxy_cli.client.local import LocalClient
from meshproxy_cli.errors import UnavailableError
from meshproxy_cli.store.parts.keys import Keys
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import decode_unverified

FOREIGN = ApiKey(
    "3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "s3cr3t-0123456789abcdefghij"
)


def create(run: InProcess, name: str, *options: str) -> ApiKey:
    return ApiKey.parse(run("api-key", "create", name, *options).stdout.removesuffix("\n"))


def listed(run: InProcess) -> dict[str, dict[str, Any]]:
    return {key["name"]: key for key in run("api-key", "list", "--json").json()["keys"]}


def signer(run: InProcess) -> str:
    return decode_unverified(run("token", "get", "--room", "r").stdout.strip()).key_id


def test_a_created_key_is_shown_once(run: InProcess) -> None:
    done = run("api-key", "create", "ci", "--description", "nightly")
    key = ApiKey.parse(done.stdout)
    assert done.stdout == f"{key.encode()}\n"
    assert "only time" in done.stderr
    for arguments in (("list",), ("list", "--json")):
        later = run("api-key", *arguments)
        assert key.secret not in later.stdout + later.stderr
    assert listed(run)["ci"]["id"] == key.id
    assert listed(run)["ci"]["description"] == "nightly"
    assert listed(run)["ci"]["active"] is False
    run("token", "get", "--room", "r", code=3)


def test_activate_on_creation(run: InProcess) -> None:
    key = create(run, "laptop", "--activate")
    assert signer(run) == key.id
    assert listed(run)["laptop"]["active"] is True
    table = run("api-key", "list").stdout
    assert "active" in table
    assert key.id in table


def test_json(run: InProcess) -> None:
    found = run("api-key", "create", "ci", "--json", "--activate").json()
    key = ApiKey.parse(found.pop("key"))
    about = {"id": key.id, "project_id": key.project_id, "name": "ci", "description": "", "active": True}
    assert found == {"schema_version": 1, **about}


def test_silent(run: InProcess) -> None:
    done = run("api-key", "create", "laptop", "--activate", "--silent")
    assert done.stdout == ""
    assert signer(run) == listed(run)["laptop"]["id"]
    quiet = run("api-key", "create", "other", "--activate", "--silent", "--json").json()
    assert "key" not in quiet
    assert signer(run) == quiet["id"]


def test_silent_alone_would_lose_the_key(run: InProcess) -> None:
    run("api-key", "create", "laptop", "--silent", code=2)
    assert listed(run) == {}


def test_a_key_that_nobody_saw_and_nothing_kept_is_revoked(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_keyring(*_: object) -> None:
        raise UnavailableError("the keyring is gone")

    monkeypatch.setattr(create_module.KeyRing, "use", no_keyring)
    run("api-key", "create", "lost", "--activate", "--silent", code=4)
    assert listed(run)["lost"]["revoked_at"] is not None
    seen = run("api-key", "create", "seen", "--activate", code=4)
    assert ApiKey.parse(seen.stdout).id == listed(run)["seen"]["id"]
    assert listed(run)["seen"]["revoked_at"] is None


@pytest.mark.parametrize("name", ["", " ", "a\nb"])
def test_names_that_are_none(run: InProcess, name: str) -> None:
    run("api-key", "create", name, code=2)
    assert listed(run) == {}


def test_activate_goes_back_and_forth_and_loses_nothing(run: InProcess) -> None:
    first = create(run, "first", "--activate")
    second = create(run, "second", "--activate")
    third = create(run, "third")
    assert signer(run) == second.id
    assert "kept" in run("api-key", "list").stdout
    run("api-key", "activate", first.id.upper())
    assert signer(run) == first.id
    run("api-key", "activate", "second")
    assert signer(run) == second.id
    run("api-key", "activate", "second")
    assert signer(run) == second.id
    assert "api-key import" in run("api-key", "activate", third.id, code=6).stderr
    assert "no API key of that id or name" in run("api-key", "activate", "fourth", code=6).stderr
    assert signer(run) == second.id


def test_revoke(run: InProcess) -> None:
    key = create(run, "laptop", "--activate")
    assert "--yes" in run("api-key", "revoke", key.id, code=2).stderr
    assert listed(run)["laptop"]["revoked_at"] is None
    assert signer(run) == key.id
    done = run("api-key", "revoke", "laptop", "--yes")
    assert "removed from this machine" in done.stderr
    assert listed(run)["laptop"]["revoked_at"] is not None
    run("token", "get", "--room", "r", code=3)
    run("api-key", "revoke", "laptop", "--yes", code=6)
    assert "revoked 20" in run("api-key", "list").stdout


def test_revoke_needs_an_id_where_a_name_is_not_enough(run: InProcess) -> None:
    keys = [create(run, "twin") for _ in range(2)]
    done = run("api-key", "revoke", "twin", "--yes", code=2)
    assert all(key.id in done.stderr for key in keys)
    run("api-key", "revoke", keys[0].id, "-y")
    run("api-key", "revoke", "twin", "-y")


def test_import(run: InProcess) -> None:
    done = run("api-key", "import", stdin=f"  {FOREIGN.encode()}\n")
    assert FOREIGN.secret not in done.stdout + done.stderr
    assert signer(run) == FOREIGN.id


def test_import_keeps_the_key_before_it(run: InProcess) -> None:
    own = create(run, "own", "--activate")
    done = run("api-key", "import", "--keep-active", stdin=FOREIGN.encode())
    assert "another one signs" in done.stderr
    assert signer(run) == own.id
    run("api-key", "activate", FOREIGN.id)
    assert signer(run) == FOREIGN.id
    run("api-key", "activate", own.id)
    assert signer(run) == own.id


@pytest.mark.parametrize(("text", "code"), [("", 2), ("sk-123", 3), (FOREIGN.encode()[:50], 3)])
def test_what_is_no_key_is_not_imported(run: InProcess, text: str, code: int) -> None:
    run("api-key", "import", stdin=FOREIGN.encode())
    run("api-key", "import", stdin=text, code=code)
    assert signer(run) == FOREIGN.id


def test_env_is_what_a_shell_takes(cli: Cli) -> None:
    cli("api-key", "import", stdin=FOREIGN.encode())
    line = cli("api-key", "env").stdout
    assert line == f"export MESHAGENT_API_KEY={shlex.quote(FOREIGN.encode())}\n"
    shell = subprocess.run(
        ["sh", "-c", f'{line}printf %s "$MESHAGENT_API_KEY"'], capture_output=True, text=True, check=True
    )
    assert shell.stdout == FOREIGN.encode()
    assert cli("api-key", "env", "--json").json()["MESHAGENT_API_KEY"] == FOREIGN.encode()


def test_env_without_a_key(run: InProcess) -> None:
    assert run("api-key", "env", code=3).stdout == ""


def test_meshagents_service_without_an_access_token_says_where_a_key_comes_from(run: InProcess) -> None:
    done = run("api-key", "create", "x", "--server", "meshagent", code=3)
    assert "api-key import --server meshagent" in done.stderr
    assert "MESHAGENT_TOKEN" in done.stderr
    assert "MESHAGENT_TOKEN" in run("api-key", "list", "--server", "meshagent", code=3).stderr


def test_keys_of_servers_are_kept_apart(run: InProcess) -> None:
    own = create(run, "own", "--activate")
    run("api-key", "import", "--server", "meshagent", stdin=FOREIGN.encode())
    assert signer(run) == own.id
    token = run("token", "get", "--room", "r", "--server", "meshagent").stdout.strip()
    assert decode_unverified(token).key_id == FOREIGN.id


def test_the_server_is_let_go_of_when_it_fails(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def fail(*_: object) -> None:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(Keys, "create", fail)
    close = LocalClient.close
    monkeypatch.setattr(LocalClient, "close", lambda self: (closed.append(True), close(self)))
    run("api-key", "create", "x", code=4)
    assert closed == [True]
