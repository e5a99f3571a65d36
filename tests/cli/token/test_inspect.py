"""`meshproxy token inspect`: the truth about a token, and never the token."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fixtures.in_process import InProcess
from fixtures.specs import specs
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec, parse_spec

KEY = ApiKey(
    "3f2b8c1e-9d47-4a6b-8e55-0f1a2b3c4d5e", "7c9e6679-7425-40de-944b-e07fc1f90ae7", "s3cr3t-0123456789abcdefghij"
)
NOW = int(time.time())


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the suite has been running, it is the time at which the tokens below were minted."""
    monkeypatch.setattr(time, "time", lambda: float(NOW))


SPEC = TokenSpec("ana", "r", "agent", {"queues": {"list": False}, "llm": {"models": ["openai/*"]}})


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> ApiKey:
    """Put the API key into the environment."""
    monkeypatch.setenv("MESHAGENT_API_KEY", KEY.encode())
    return KEY


def inspected(run: InProcess, token: str, *options: str, code: int = 0) -> Any:
    done = run("token", "inspect", "--json", *options, stdin=token, code=code)
    assert token not in done.stdout
    return done.json()


def test_in_words(run: InProcess, key: ApiKey) -> None:
    token = mint(SPEC, KEY, now=NOW, expires_in=7200, not_before=NOW - 90)
    done = run("token", "inspect", token, "--room", "r", "--model", "openai/gpt-5.4")
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["participant", "ana (agent)"] in lines
    assert "queues: message queues (no list)" in done.stdout
    assert "llm: models, through the Room Proxy (models only openai/*)" in done.stdout
    assert "ends         20" in done.stdout
    assert "(in 1 h 59 min)" in done.stdout or "(in 2 h)" in done.stdout
    assert "min" in done.stdout
    assert ["signature", "valid"] in lines
    assert "would accept it" in done.stdout
    assert token not in done.stdout
    assert token.split(".")[2] not in done.stdout


def test_in_json(run: InProcess, key: ApiKey) -> None:
    found = inspected(run, mint(SPEC, KEY, now=NOW, expires_in=60, session="ci"))
    assert found == {
        "schema_version": 1,
        "identity": "ana",
        "role": "agent",
        "room": "r",
        "session": "ci",
        "llm": True,
        "models": ["openai/*"],
        "not_before": None,
        "expires_at": NOW + 60,
        "key_id": KEY.id,
        "project_id": KEY.project_id,
        "token_version": "0.55.1",
        "signature": "valid",
        "accepted": True,
        "reasons": [],
        "spec": {
            "version": "v1",
            "kind": "ParticipantToken",
            "identity": "ana",
            "room": "r",
            "role": "agent",
            "api": {"queues": {"list": False}, "llm": {"models": ["openai/*"]}},
        },
    }


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--room", "other"), "it is for the room r, not for other"),
        (("--model", "anthropic/claude-x"), "it does not allow the model anthropic/claude-x"),
    ],
)
def test_refused_for_what_is_asked(run: InProcess, key: ApiKey, options: tuple[str, ...], reason: str) -> None:
    found = inspected(run, mint(SPEC, KEY, now=NOW), *options, code=3)
    assert (found["accepted"], found["reasons"]) == (False, [reason])
    words = run("token", "inspect", *options, stdin=mint(SPEC, KEY, now=NOW), code=3).stdout
    assert "would refuse it:" in words
    assert reason in words


def test_expired(run: InProcess, key: ApiKey) -> None:
    found = inspected(run, mint(SPEC, KEY, now=NOW - 100, expires_in=10), code=3)
    assert (found["signature"], found["reasons"]) == ("valid", ["the token has expired"])


def test_a_forgery(run: InProcess, key: ApiKey) -> None:
    forged = ApiKey(KEY.id, KEY.project_id, "x" * 32)
    found = inspected(run, mint(SPEC, forged, now=NOW), code=3)
    assert (found["signature"], found["accepted"]) == ("invalid", False)


def test_the_key_is_not_at_hand(run: InProcess) -> None:
    token = mint(SPEC, KEY, now=NOW)
    found = inspected(run, token)
    assert (found["signature"], found["accepted"]) == ("unchecked", None)
    run("api-key", "import", stdin=ApiKey.generate(KEY.project_id).encode())
    assert inspected(run, token)["signature"] == "unchecked"
    found = inspected(run, mint(SPEC, KEY, now=NOW - 100, expires_in=10), code=3)
    assert (found["signature"], found["accepted"]) == ("unchecked", False)


def test_key_from_a_file(run: InProcess) -> None:
    path = run.home / "key"
    path.write_text(KEY.encode(), encoding="utf-8")
    token = mint(SPEC, KEY, now=NOW)
    assert inspected(run, token, "--key-file", str(path))["signature"] == "valid"
    path.write_text("nothing of the kind", encoding="utf-8")
    run("token", "inspect", "--key-file", str(path), stdin=token, code=3)
    run("token", "inspect", "-", "--key-file", "-", stdin=token, code=2)


@pytest.mark.parametrize("text", ["", "abc", KEY.encode(), "a.b.c", mint(SPEC, KEY, now=NOW)[:-60]])
def test_what_is_no_token(run: InProcess, text: str) -> None:
    done = run("token", "inspect", "-", stdin=text, code=3)
    assert done.stdout == ""
    assert "this is no participant token" in done.stderr
    assert KEY.secret not in done.stderr


def test_a_token_without_models_or_room(run: InProcess, key: ApiKey) -> None:
    token = mint(TokenSpec("ana", api={}), KEY, now=NOW)
    found = inspected(run, token, code=3)
    assert found["reasons"] == ["it does not grant the use of models (its spec has no `llm: {}` below api)"]
    words = run("token", "inspect", stdin=token, code=3).stdout
    assert "any room of the project" in words
    assert "nothing" in words


@given(document=specs())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spec_to_token_to_inspect_gives_the_spec_back(run: InProcess, key: ApiKey, document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    token = run("token", "generate", "--spec", "-", stdin=text).stdout
    found = json.loads(run("token", "inspect", "--json", stdin=token).stdout)
    again, first = (parse_spec(json.dumps(each, ensure_ascii=False)) for each in (found["spec"], document))
    assert (again.identity, again.room, again.role or "user", again.api) == (
        first.identity,
        first.room,
        first.role or "user",
        first.api,
    )
    assert found["signature"] == "valid"
