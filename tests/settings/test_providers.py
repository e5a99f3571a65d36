from pathlib import Path

import pytest

from meshproxy_cli.errors import ConflictError, NotFoundError, UnavailableError, UsageError
from meshproxy_cli.settings.paths import Paths
from meshproxy_cli.settings.providers import (
    ProviderEntry,
    add_provider,
    make_provider,
    read_providers,
    remove_provider,
)

OPENAI = ProviderEntry("openai", "openai", ("https://api.openai.com/v1",), ("keyring:provider/openai",))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_environment({"MESHPROXY_HOME": str(tmp_path)})


def test_a_provider_is_written_as_a_reference(paths: Paths) -> None:
    assert add_provider(paths, OPENAI) is True
    assert paths.server_file.read_text() == (
        '[providers.openai]\nprotocol = "openai"\nbase_url = "https://api.openai.com/v1"\n'
        'keys = ["keyring:provider/openai"]\n'
    )
    [read] = read_providers(paths, {"ANTHROPIC_API_KEY": "k"})
    assert (read.name, read.protocol, read.base_urls, read.keys) == (
        OPENAI.name,
        OPENAI.protocol,
        OPENAI.base_urls,
        OPENAI.keys,
    )
    assert read.origin == f"{paths.server_file}:1"


def test_the_rest_of_the_file_stays(paths: Paths) -> None:
    paths.config_dir.mkdir(parents=True)
    paths.server_file.write_text("# ours\nlisten = '0.0.0.0:1'\n")
    add_provider(paths, OPENAI)
    remove_provider(paths, "openai")
    assert paths.server_file.read_text().startswith("# ours\nlisten = '0.0.0.0:1'\n")


def test_several_keys_written_by_hand_stay(paths: Paths) -> None:
    add_provider(paths, OPENAI)
    text = paths.server_file.read_text().replace('"]', '", "env:SECOND"]')
    paths.server_file.write_text(text)
    assert add_provider(paths, OPENAI) is False
    assert paths.server_file.read_text() == text


def test_another_url_needs_replace_and_keeps_no_key(paths: Paths) -> None:
    add_provider(paths, OPENAI)
    other = ProviderEntry("openai", "openai", ("https://other.example.com/v1",), OPENAI.keys)
    kept: list[str] = []
    with pytest.raises(ConflictError, match="already") as refusal:
        add_provider(paths, other, keep_key=lambda: kept.append("kept"))
    assert "--replace" in str(refusal.value.hint)
    assert kept == []
    assert add_provider(paths, other, replace=True, keep_key=lambda: kept.append("kept")) is True
    assert kept == ["kept"]


def test_where_the_key_cannot_be_kept_nothing_is_written(paths: Paths) -> None:
    def refuse() -> None:
        raise UnavailableError("locked")

    with pytest.raises(UnavailableError):
        add_provider(paths, OPENAI, keep_key=refuse)
    assert not paths.server_file.exists()


def test_several_urls_and_a_single_key_are_read(paths: Paths) -> None:
    paths.config_dir.mkdir(parents=True)
    paths.server_file.write_text("[providers.openai]\nbase_url = ['https://a/v1', 'https://b/v1']\nkeys = 'env:X'\n")
    [read] = read_providers(paths, {})
    assert (read.base_urls, read.keys) == (("https://a/v1", "https://b/v1"), ("env:X",))


def test_removing_names_the_keys(paths: Paths) -> None:
    add_provider(paths, OPENAI)
    assert remove_provider(paths, "openai") == OPENAI.keys
    assert read_providers(paths, {}) == ()
    with pytest.raises(NotFoundError):
        remove_provider(paths, "openai")


def test_without_a_file_the_environment_counts(paths: Paths) -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "ANTHROPIC_BASE_URL": "https://x", "OPENAI_BASE_URL": "http://127.0.0.1/v1"}
    [provider] = read_providers(paths, environ)
    assert provider == ProviderEntry(
        "openai", "openai", ("http://127.0.0.1/v1",), ("env:OPENAI_API_KEY",), "the environment"
    )
    assert "sk-1" not in repr(provider)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[providers.x]\n", "server.toml:1: providers.x.protocol is 'x'; it can be openai, anthropic"),
        ("providers = 5\n", "table of tables"),
        ("\nproviders.openai = 5\n", "server.toml:2: providers.openai is a table"),
        ("[providers.openai]\nkeys = 5\n", "server.toml:2: providers.openai.keys is text"),
        ("[providers.openai]\nbase_url = [5]\n", "server.toml:2: providers.openai.base_url is text"),
        ("[providers.openai]\n\nkeys = ['sk-hunter2']\n", "server.toml:3: a key of the provider openai is written out"),
        ("[providers", "server.toml:1:11: invalid TOML"),
    ],
)
def test_a_wrong_file_is_told_with_its_line_and_no_key(paths: Paths, text: str, message: str) -> None:
    paths.config_dir.mkdir(parents=True)
    paths.server_file.write_text(text)
    with pytest.raises(UsageError, match=message) as refusal:
        read_providers(paths, {})
    assert "hunter2" not in refusal.value.message + str(refusal.value.hint)


def test_a_provider_is_made_from_what_a_person_gives() -> None:
    assert make_provider("openai", name=None, base_url=None, key=None) == OPENAI
    local = make_provider("openai", name="vllm", base_url="http://127.0.0.1:8000/v1/", key="env:VLLM_KEY")
    assert local == ProviderEntry("vllm", "openai", ("http://127.0.0.1:8000/v1",), ("env:VLLM_KEY",))


@pytest.mark.parametrize(
    ("protocol", "name", "url"),
    [("gemini", None, None), ("openai", "a.b", None), ("openai", None, "x"), ("openai", None, "http://10.0.0.1")],
)
def test_what_the_server_could_not_use_is_refused(protocol: str, name: str | None, url: str | None) -> None:
    with pytest.raises(UsageError):
        make_provider(protocol, name=name, base_url=url, key=None)


def test_plain_http_can_be_allowed() -> None:
    made = make_provider("openai", name="gpu", base_url="http://10.0.0.1/v1", key=None, insecure_http=True)
    assert (made.base_urls, made.allow_http) == (("http://10.0.0.1/v1",), True)


def test_removing_a_provider_keeps_the_comment_above_the_next_table(paths: Paths) -> None:
    paths.config_dir.mkdir(parents=True)
    kept = "\n# about the second\n[providers.anthropic]\nkeys = ['env:B']\n"
    paths.server_file.write_text("[providers.openai]\nkeys = ['env:A']\n[providers.openai.headers]\nx = 'y'\n" + kept)
    assert remove_provider(paths, "openai") == ("env:A",)
    assert paths.server_file.read_text() == kept
