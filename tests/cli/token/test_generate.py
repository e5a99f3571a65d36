"""`meshproxy token generate`: what it signs, where the key comes from, what it refuses."""

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from fixtures.commands import Cli
from fixtures.in_process import InProcess
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import ParticipantToken, decode_unverified, mint
from meshproxy_cli.tokens.spec import parse_spec

ROOT = Path(__file__).parents[3]
VECTORS = json.loads(ROOT.joinpath("tests/data/meshagent-vectors.json").read_text("utf-8"))
KEY = ApiKey.parse(VECTORS["api_key"]["encoded"])
SPEC = "version: v1\nkind: ParticipantToken\nidentity: ana\nroom: r\napi: {llm: {}}\n"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> ApiKey:
    """Put an API key into the environment."""
    monkeypatch.setenv("MESHAGENT_API_KEY", KEY.encode())
    return KEY


def signed(run: InProcess, *options: str, **more: Any) -> ParticipantToken:
    return decode_unverified(run("token", "generate", *options, **more).stdout.strip())


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda vector: vector["name"])
def test_vectors(run: InProcess, key: ApiKey, tmp_path: Path, vector: dict[str, Any]) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(vector["spec_yaml"], encoding="utf-8")
    expected = mint(parse_spec(vector["spec_yaml"]), KEY, now=0)
    for option in ("--spec", "--input", "-i"):
        assert run("token", "generate", option, str(spec)).stdout == f"{expected}\n"


@pytest.mark.parametrize("vector", VECTORS["rejected"], ids=lambda vector: vector["name"])
def test_rejected_specs(run: InProcess, key: ApiKey, vector: dict[str, str]) -> None:
    done = run("token", "generate", "--spec", "-", stdin=vector["spec_yaml"], code=2)
    assert done.stdout == ""
    assert done.stderr.startswith("error: <stdin>:")


def test_the_example(run: InProcess, key: ApiKey) -> None:
    assert signed(run, "--spec", str(ROOT / "examples/token-spec.yaml")).room == "my-room"


def test_without_a_file(run: InProcess, key: ApiKey) -> None:
    token = signed(run, "--room", "no", "--identity", "1", "--role", "tool", "--set", 'api.llm.models=["openai/*"]')
    assert (token.room, token.identity, token.role, token.models) == ("no", "1", "tool", ("openai/*",))
    assert token.expires_at is None


@pytest.mark.parametrize("options", [(), ("--room", "r"), ("--identity", "i"), ("--set", "room=r")])
def test_too_little_to_make_a_token_from(run: InProcess, key: ApiKey, options: tuple[str, ...]) -> None:
    done = run("token", "generate", *options, code=2)
    assert "--spec" in done.stderr
    assert "--identity" in done.stderr


def test_options_go_over_the_file(run: InProcess, key: ApiKey) -> None:
    options = ("--room", "other", "--set", "identity=bo", "--set", "api.queues.list=false", "--set", "api.sync={}")
    token = signed(run, "--spec", "-", *options, stdin=SPEC)
    assert (token.room, token.identity) == ("other", "bo")
    assert token.scope == {"queues": {"list": False}, "sync": {}, "llm": {}}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("api.llm.models=[openai]", "the value is not valid JSON"),
        ('api.llm.models="openai', "the value is not valid JSON"),
        ("api.llm.models=openai/*", "--set api.llm.models: api.llm.models must be a list of provider/model names"),
        ("api.llm", "is no KEY=VALUE"),
        ("=x", "is no KEY=VALUE"),
        ("api..x=1", "is no KEY=VALUE"),
        ("api.lllm={}", 'unknown key "lllm" in api; did you mean "llm"?'),
        ("room=", "room must not be blank"),
    ],
)
def test_changes_that_make_no_sense(run: InProcess, key: ApiKey, change: str, expected: str) -> None:
    done = run("token", "generate", "-i", "-", "--set", change, stdin=SPEC, code=2)
    assert expected in done.stderr
    assert done.stdout == ""


def test_times(run: InProcess, key: ApiKey) -> None:
    before = int(time.time())
    token = signed(run, "-i", "-", "--expires-in", "1h30m", "--not-before", "10m", stdin=SPEC)
    assert token.expires_at is not None
    assert token.not_before is not None
    assert 0 <= token.expires_at - before - 5400 <= 60
    assert 0 <= token.not_before - before - 600 <= 60
    assert signed(run, "-i", "-", "--not-before", "2030-01-01", stdin=SPEC).not_before == 1_893_456_000
    assert signed(run, "-i", "-", "--not-before", "2030-01-01T01:00+01:00", stdin=SPEC).not_before == 1_893_456_000


@pytest.mark.parametrize(
    "options",
    [
        ("--expires-in", "8"),
        ("--expires-in", "0h"),
        ("--expires-in", "-1h"),
        ("--expires-in", "soon"),
        ("--expires-in", "999999w"),
        ("--not-before", "yesterday"),
        ("--not-before", "2h", "--expires-in", "1h"),
    ],
)
def test_times_that_make_no_sense(run: InProcess, key: ApiKey, options: tuple[str, ...]) -> None:
    assert run("token", "generate", "-i", "-", *options, stdin=SPEC, code=2).stdout == ""


def test_the_output_file_is_private_whatever_it_was(run: InProcess, key: ApiKey, tmp_path: Path) -> None:
    target = tmp_path / "token.txt"
    done = run("token", "generate", "-i", "-", "-o", str(target), stdin=SPEC)
    assert done.stdout == ""
    assert decode_unverified(target.read_text("utf-8").strip()).identity == "ana"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    target.chmod(0o644)
    run("token", "generate", "-i", "-", "-o", str(target), "--identity", "bo", stdin=SPEC)
    assert decode_unverified(target.read_text("utf-8").strip()).identity == "bo"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_refused_spec_leaves_the_output_file_as_it_was(run: InProcess, key: ApiKey, tmp_path: Path) -> None:
    target = tmp_path / "token.txt"
    target.write_text("old", encoding="utf-8")
    run("token", "generate", "-i", "-", "-o", str(target), stdin="role: x", code=2)
    assert target.read_text("utf-8") == "old"


def test_an_output_that_is_a_folder_is_refused(run: InProcess, key: ApiKey, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    assert "is a folder" in run("token", "generate", "-i", "-", "-o", str(folder), stdin=SPEC, code=2).stderr
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_key_from_a_file_and_from_standard_input(
    run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHAGENT_API_KEY", ApiKey.generate(KEY.project_id).encode())
    path = tmp_path / "key"
    path.write_text(f"{KEY.encode()}\n", encoding="utf-8")
    options = ("--room", "r", "--identity", "i")
    assert signed(run, *options, "--key-file", str(path)).key_id == KEY.id
    assert signed(run, *options, "--key-file", "-", stdin=KEY.encode()).key_id == KEY.id
    assert signed(run, *options).key_id != KEY.id


def test_key_from_the_keyring(run: InProcess) -> None:
    run("api-key", "import", stdin=KEY.encode())
    assert signed(run, "--room", "r", "--identity", "i").key_id == KEY.id


def test_no_key(run: InProcess) -> None:
    done = run("token", "generate", "-i", "-", stdin=SPEC, code=3)
    assert "meshproxy api-key create" in done.stderr


def test_a_damaged_key_is_named_by_its_place_and_not_repeated(run: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_API_KEY", KEY.encode()[4:])
    done = run("token", "generate", "-i", "-", stdin=SPEC, code=3)
    assert "MESHAGENT_API_KEY" in done.stderr
    assert KEY.secret not in done.stderr


def test_one_standard_input_for_two_things(run: InProcess) -> None:
    assert "only one of" in run("token", "generate", "-i", "-", "--key-file", "-", code=2).stderr


def test_specs_that_can_not_be_read(run: InProcess, key: ApiKey, tmp_path: Path) -> None:
    assert "there is no token spec" in run("token", "generate", "-i", str(tmp_path / "no.yaml"), code=6).stderr
    assert "can't be read" in run("token", "generate", "-i", str(tmp_path), code=2).stderr
    latin = run("token", "generate", "-i", "-", stdin=b"version: v1\nidentity: J\xf6rg\n", code=2)
    assert "<stdin>:2:1: it is not UTF-8" in latin.stderr
    assert "larger than 64 KiB" in run("token", "generate", "-i", "-", stdin="#" * 10_000_000, code=2).stderr


def test_newer_specs(run: InProcess, key: ApiKey) -> None:
    newer = SPEC.replace("llm: {}", "llm: {}, teleport: {far: true}") + "color: red\n"
    refused = run("token", "generate", "-i", "-", stdin=newer, code=2)
    assert '<stdin>:5:16: unknown key "teleport" in api' in refused.stderr
    assert '<stdin>:6:1: unknown key "color"' in refused.stderr
    done = run("token", "generate", "-i", "-", "--allow-unknown", stdin=newer)
    assert decode_unverified(done.stdout.strip()).scope == {"llm": {}, "teleport": {"far": True}}
    assert '"color" has no place' in done.stderr


def test_without_llm(run: InProcess, key: ApiKey) -> None:
    spec = SPEC.replace("llm", "queues")
    assert "llm: {}" in run("token", "generate", "-i", "-", stdin=spec, code=2).stderr
    assert signed(run, "-i", "-", "--without-llm", stdin=spec).llm is False


def test_the_real_command_prints_the_token_and_nothing_else(cli: Cli) -> None:
    done = cli("token", "generate", "-i", "-", stdin=SPEC, environ={"MESHAGENT_API_KEY": KEY.encode(), "COLUMNS": "40"})
    assert done.stdout == mint(parse_spec(SPEC), KEY, now=0) + "\n"
    assert done.stderr == ""


def test_an_output_may_be_a_pipe(cli: Cli) -> None:
    environ = {"MESHAGENT_API_KEY": KEY.encode()}
    done = cli("token", "generate", "-i", "-", "-o", "/dev/stdout", stdin=SPEC, environ=environ)
    assert done.stdout == mint(parse_spec(SPEC), KEY, now=0) + "\n"


def test_there_is_no_option_that_takes_the_key_itself(run: InProcess) -> None:
    for option in ("--key", "--api-key"):
        assert run("token", "generate", option, "x", code=2).stderr
