"""`meshproxy token get`: what an agent gets, in every state that a machine can be in."""

import getpass
import time

import pytest

from fixtures.commands import Cli
from fixtures.in_process import InProcess
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import ParticipantToken, decode_unverified, mint
from meshproxy_cli.tokens.spec import TokenSpec

KEY = ApiKey(
    "3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "s3cr3t-0123456789abcdefghij"
)
NOW = int(time.time())


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the suite has been running, it is the time at which the tokens below were minted."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))


def got(run: InProcess, *options: str) -> ParticipantToken:
    done = run("token", "get", *options)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    return decode_unverified(done.stdout.removesuffix("\n"))


def imported(room: str = "r", lifetime: int | None = None, born: int = NOW) -> str:
    return mint(TokenSpec.for_room("given", room), KEY, now=born, expires_in=lifetime)


def test_minted_from_the_active_key(run: InProcess) -> None:
    run("api-key", "import", stdin=KEY.encode())
    token = got(run, "--room", "my room/1")
    assert (token.room, token.identity, token.role) == ("my room/1", getpass.getuser(), "user")
    assert token.key_id == KEY.id
    assert token.llm
    assert token.models is None
    assert token.expires_at is not None
    assert 0 <= token.expires_at - NOW - 3600 <= 120


def test_options(run: InProcess) -> None:
    run("api-key", "import", stdin=KEY.encode())
    token = got(run, "-r", "r", "--identity", "bo", "--session", "ci", "--expires-in", "5m")
    assert (token.identity, token.session) == ("bo", "ci")
    assert token.expires_at is not None
    assert token.expires_at - NOW < 420


def test_the_environments_key_goes_first(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    run("api-key", "import", stdin=KEY.encode())
    run("token", "import", stdin=imported())
    monkeypatch.setenv("MESHAGENT_API_KEY", ApiKey.generate(KEY.project_id).encode())
    assert got(run, "--room", "r").key_id != KEY.id


def test_an_imported_token_while_it_is_valid(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    run("token", "import", stdin=imported(lifetime=300))
    assert got(run, "--room", "r").identity == "given"
    monkeypatch.setattr(time, "time", lambda: NOW + 301)
    done = run("token", "get", "--room", "r", code=3)
    assert "is not valid any more" in done.stderr
    assert done.stderr.count("\n") == 1
    run("api-key", "import", stdin=KEY.encode())
    assert got(run, "--room", "r").identity == getpass.getuser()


def test_an_imported_token_is_for_its_room_only(run: InProcess) -> None:
    run("token", "import", stdin=imported("a"))
    assert got(run, "--room", "a").identity == "given"
    run("token", "get", "--room", "b", code=3)


def test_the_servers_room_is_the_default(run: InProcess) -> None:
    run("api-key", "import", stdin=KEY.encode())
    settings = run.home / "meshproxy/config/settings.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text('[servers.local]\nroom = "team"\n', encoding="utf-8")
    assert got(run).room == "team"
    assert got(run, "--room", "other").room == "other"


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--room", "r"), 3, "meshproxy api-key create"),
        ((), 2, "give --room ROOM"),
        (("--room", " "), 2, "give --room ROOM"),
        (("--room", "r", "--server", "nowhere"), 6, "nowhere"),
        (("--room", "r", "--expires-in", "later"), 2, "1h30m"),
    ],
)
def test_a_problem_is_one_line_and_nothing_is_printed(
    run: InProcess, options: tuple[str, ...], code: int, told: str
) -> None:
    done = run("token", "get", *options, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert told in done.stderr


def test_a_damaged_key_is_one_line_too(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_API_KEY", "ma-oops")
    done = run("token", "get", "--room", "r", code=3)
    assert done.stderr.count("\n") == 1


def test_the_real_command_without_anything_to_ask_on(cli: Cli) -> None:
    done = cli("token", "get", "--room", "r", code=3)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    cli("api-key", "import", stdin=KEY.encode())
    done = cli("token", "get", "--room", "r")
    assert decode_unverified(done.stdout.removesuffix("\n")).room == "r"
    assert done.stderr == ""
