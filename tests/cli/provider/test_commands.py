from collections.abc import Iterator

import pytest

from e2e.provider import ANTHROPIC_KEY, OPENAI_KEY, RecordingProvider
from fixtures.commands import Cli
from fixtures.secret_service import SecretService


@pytest.fixture
def upstream() -> Iterator[RecordingProvider]:
    with RecordingProvider() as provider:
        yield provider


@pytest.fixture
def team(cli: Cli, upstream: RecordingProvider) -> Cli:
    """Return a runner whose server has both providers."""
    cli.guard(OPENAI_KEY, ANTHROPIC_KEY)
    cli("provider", "add", "openai", "--base-url", f"{upstream.origin}/v1", "--api-key", "-", stdin=OPENAI_KEY)
    cli("provider", "add", "anthropic", "--base-url", upstream.origin, "--api-key", "-", stdin=f"{ANTHROPIC_KEY}\n")
    return cli


def test_the_file_holds_references_only(team: Cli) -> None:
    text = (team.home.state / "config" / "server.toml").read_text()
    assert 'keys = ["keyring:provider/openai"]' in text
    team.check(text, "server.toml")
    listed = team("provider", "list", "--json").json()["providers"]
    assert [(one["name"], one["keys"]) for one in listed] == [
        ("openai", ["keyring:provider/openai"]),
        ("anthropic", ["keyring:provider/anthropic"]),
    ]
    assert "keyring:provider/openai" in team("provider", "list").stdout


def test_a_test_is_a_real_request_with_the_providers_own_key(team: Cli, upstream: RecordingProvider) -> None:
    result = team("provider", "test")
    assert [line.partition(" ")[0] for line in result.stdout.splitlines()] == ["openai", "anthropic"]
    assert "3 models" in result.stdout
    openai, anthropic = upstream.requests
    assert (openai.method, openai.path, openai.header("authorization")) == ("GET", "/v1/models", f"Bearer {OPENAI_KEY}")
    assert (anthropic.path, anthropic.header("x-api-key")) == ("/v1/models", ANTHROPIC_KEY)
    assert anthropic.header("authorization") is None
    [test] = team("provider", "test", "anthropic", "--json").json()["tests"]
    assert (test["ok"], test["models"], test["error"]) == (True, ["claude-sonnet-4-6", "claude-haiku-4-5"], None)


def test_a_test_sends_the_headers_of_the_file_too(cli: Cli, upstream: RecordingProvider) -> None:
    cli.guard(OPENAI_KEY)
    file = cli.home.state / "config" / "server.toml"
    file.parent.mkdir(parents=True)
    headers = '{ authorization = "Bearer env:ELSEWHERE_KEY", "x-team" = "research" }'
    file.write_text(f'[providers.openai]\nbase_url = "{upstream.origin}/v1"\nheaders = {headers}\n')
    result = cli("provider", "test", "openai", environ={"ELSEWHERE_KEY": OPENAI_KEY})
    assert "no key): works, 3 models" in result.stdout
    assert upstream.requests[0].header("authorization") == f"Bearer {OPENAI_KEY}"
    assert upstream.requests[0].header("x-team") == "research"
    assert "ELSEWHERE_KEY" in cli("provider", "test", "openai", code=3).stderr


def test_a_refused_key_is_told_with_the_providers_words(team: Cli) -> None:
    team.guard("sk-hunter2")
    text = (team.home.state / "config" / "server.toml").read_text()
    url = text.partition('base_url = "')[2].partition('"')[0]
    team("provider", "add", "openai", "--base-url", url, "--api-key", "-", stdin="sk-hunter2")
    result = team("provider", "test", code=3)
    assert "answered 401" in result.stderr
    assert "the provider does not know this key" in result.stderr
    assert result.stdout.startswith("anthropic ")
    tests = team("provider", "test", "--json", code=3).json()["tests"]
    assert [test["ok"] for test in tests] == [False, True]


def test_a_provider_that_is_away_is_told(cli: Cli) -> None:
    cli("provider", "add", "openai", "--base-url", "http://127.0.0.1:1/v1", "--api-key", "env:KEY")
    assert "can't be reached" in cli("provider", "test", code=4, environ={"KEY": "k"}).stderr
    assert "env:KEY leads to nothing" in cli("provider", "test", code=3).stderr


def test_remove_takes_the_key_along(team: Cli) -> None:
    team("provider", "remove", "openai")
    assert [one["name"] for one in team("provider", "list", "--json").json()["providers"]] == ["anthropic"]
    assert [one["name"] for one in team("secret", "list", "--json").json()["secrets"]] == ["provider/anthropic"]
    assert team("provider", "remove", "openai", code=6)


def test_a_key_that_another_provider_uses_stays(team: Cli) -> None:
    team("provider", "add", "openai", "--name", "second", "--api-key", "keyring:provider/openai")
    team("provider", "remove", "openai")
    assert "provider/openai" in team("secret", "list").stdout


def test_a_key_in_the_arguments_is_refused(cli: Cli) -> None:
    cli.guard("sk-hunter2")
    assert "where others can see it" in cli("provider", "add", "openai", "--api-key", "sk-hunter2", code=2).stderr
    assert not (cli.home.state / "config").exists()


def test_a_key_written_into_the_file_is_refused_with_the_way_out(team: Cli) -> None:
    team.guard("sk-hunter2")
    path = team.home.state / "config" / "server.toml"
    path.write_text(path.read_text().replace("keyring:provider/openai", "sk-hunter2"))
    refusal = team("provider", "list", code=2).stderr
    assert f"{path}:4: a key of the provider openai is written out" in refusal
    assert "meshproxy provider add" in refusal


def test_without_a_provider_the_echo_is_named(cli: Cli) -> None:
    assert "built-in echo provider" in cli("provider", "list").stderr
    assert "add one: meshproxy provider add" in cli("provider", "test", code=6).stderr


def test_the_environments_providers_are_listed_as_the_server_has_them(cli: Cli, upstream: RecordingProvider) -> None:
    cli.guard(OPENAI_KEY, ANTHROPIC_KEY)
    listed = cli("provider", "list", "--json", environ=upstream.environment()).json()["providers"]
    assert [one["keys"] for one in listed] == [["env:OPENAI_API_KEY"], ["env:ANTHROPIC_API_KEY"]]
    cli("provider", "test", environ=upstream.environment())
    assert len(upstream.requests) == 2


def test_the_key_goes_to_the_keyring(cli: Cli, secret_service: SecretService, upstream: RecordingProvider) -> None:
    cli.guard(OPENAI_KEY)
    url = f"{upstream.origin}/v1"
    arguments = ("provider", "add", "openai", "--base-url", url, "--api-key", "-")
    cli(*arguments, stdin=OPENAI_KEY, environ=secret_service.environ)
    cli("provider", "test", environ=secret_service.environ)
    assert upstream.requests[0].header("authorization") == f"Bearer {OPENAI_KEY}"
    everything = [path.read_text(errors="replace") for path in cli.home.state.rglob("*") if path.is_file()]
    cli.check("\n".join(everything), "meshproxy's own files")


def test_a_locked_keyring_leaves_the_file_as_it_was(cli: Cli, secret_service: SecretService) -> None:
    secret_service.lock()
    forced = {**secret_service.environ, "MESHPROXY_KEYRING": "os"}
    refusal = cli("provider", "add", "openai", "--api-key", "-", stdin=OPENAI_KEY, code=4, environ=forced).stderr
    assert "locked" in refusal
    assert not (cli.home.state / "config" / "server.toml").exists()
