from pathlib import Path

import pexpect
import pytest

from fixtures.commands import MESHPROXY, Cli
from meshproxy_cli.cli import context
from meshproxy_cli.errors import UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MESHPROXY_HOME", str(tmp_path))
    return tmp_path


def test_all_three_are_those_of_this_process(home: Path) -> None:
    assert context.paths().home == home
    assert context.settings().server().name == "local"
    assert context.secrets().names() == ()


def test_a_fallback_to_the_file_is_told_on_standard_error(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MESHPROXY_KEYRING", "auto")
    context.secrets().set("provider/openai", "s3cret")
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("warning: ")


def test_a_secret_as_a_value_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as refusal:
        context.read_secret("s3cret", option="--api-key")
    assert "s3cret" not in refusal.value.message + str(refusal.value.hint)


def test_variables_with_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert context.credential_variables() == ()
    monkeypatch.setenv("MESHAGENT_TOKEN", "t")
    assert context.credential_variables() == ("MESHAGENT_TOKEN",)


def test_a_prompt_does_not_echo(cli: Cli) -> None:
    cli.guard("s3cret-typed-key")
    with pexpect.spawn(str(MESHPROXY), ["provider", "add", "openai"], env=cli.home.environ(), timeout=30) as terminal:
        terminal.expect("api key")
        terminal.waitnoecho()
        terminal.sendline("s3cret-typed-key")
        terminal.expect(pexpect.EOF)
        cli.check(terminal.before.decode(), "the terminal")
    assert terminal.exitstatus == 0
    assert "provider/openai" in cli("secret", "list").stdout
