"""`meshproxy token import` and `forget`."""

import time

import pytest

from fixtures.in_process import InProcess
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

KEY = ApiKey(
    "3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "s3cr3t-0123456789abcdefghij"
)
NOW = int(time.time())


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the suite has been running, it is the time at which the tokens below were minted."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))


def token(room: str | None = "r", *, llm: bool = True, lifetime: int | None = None, born: int = NOW) -> str:
    return mint(TokenSpec("ana", room, None, {"llm": {}} if llm else {}), KEY, now=born, expires_in=lifetime)


def test_kept_used_and_forgotten(run: InProcess) -> None:
    text = token()
    done = run("token", "import", stdin=f"{text}\n")
    assert done.stdout == ""
    assert text not in done.stderr
    assert "never expires" in done.stderr
    assert run("token", "get", "--room", "r").stdout == f"{text}\n"
    run("token", "forget", "--room", "r")
    run("token", "get", "--room", "r", code=3)
    run("token", "forget", "--room", "r", code=6)


def test_a_newer_token_takes_the_place_of_the_older(run: InProcess) -> None:
    run("token", "import", stdin=token(lifetime=60))
    newer = token(lifetime=600)
    run("token", "import", stdin=newer)
    assert run("token", "get", "--room", "r").stdout.strip() == newer


def test_a_token_for_any_room_is_kept_for_the_one_that_is_named(run: InProcess) -> None:
    assert "--room" in run("token", "import", stdin=token(None), code=2).stderr
    run("token", "import", "--room", "x", stdin=token(None))
    assert run("token", "get", "--room", "x").stdout


def test_forget_all(run: InProcess) -> None:
    run("api-key", "import", stdin=KEY.encode())
    for room in ("a", "b"):
        run("token", "import", stdin=token(room))
    run("token", "import", "--server", "meshagent", stdin=token("a"))
    assert run("token", "forget", "--all").stderr.count("forgot") == 3
    assert run("token", "get", "--room", "a").stdout, "the API key stays"


@pytest.mark.parametrize(
    ("text", "options", "code", "told"),
    [
        ("", (), 2, "there is no token on standard input"),
        ("rubbish", (), 3, "this is no participant token"),
        (KEY.encode(), (), 3, "this is no participant token"),
        (token(lifetime=10, born=NOW - 60), (), 3, "the token has expired"),
        (token(), ("--room", "other"), 2, "it is for the room r, not for other"),
        (token(llm=False), (), 2, "does not grant the use of models"),
    ],
)
def test_what_is_not_kept(run: InProcess, text: str, options: tuple[str, ...], code: int, told: str) -> None:
    assert told in run("token", "import", *options, stdin=text, code=code).stderr
    assert run("token", "forget", "--all", code=6)


def test_forget_needs_to_know_which(run: InProcess) -> None:
    assert "--all" in run("token", "forget", code=2).stderr
