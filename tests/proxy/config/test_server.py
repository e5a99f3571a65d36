"""`server.toml` and the environment."""

import pytest

from meshproxy_cli.errors import CredentialError
from meshproxy_cli.proxy.config.server import ConfigError, Listening, LogSettings, ServerConfig, load_config
from meshproxy_cli.proxy.config.targets import split_base_url

SECRETS = {"env:A": "key-a", "env:B": "key-b"}


def load(text: str = "", **environ: str) -> ServerConfig:
    return load_config(text, environ, SECRETS.__getitem__)


def test_without_anything_the_echo_provider_answers() -> None:
    config = load()
    for protocol in ("openai", "anthropic"):
        found = config.provider(protocol, None)  # type: ignore[arg-type]  # one of the two
        assert found is not None
        assert found.echo


def test_the_environment_names_providers() -> None:
    config = load(OPENAI_API_KEY="k1", ANTHROPIC_API_KEY="k2", ANTHROPIC_BASE_URL="https://a.example/base/")
    openai, anthropic = config.provider("openai", None), config.provider("anthropic", None)
    assert openai is not None
    assert anthropic is not None
    assert openai.targets[0].url(b"/v1/responses") == b"/v1/responses"
    assert b"authorization: Bearer k1" in openai.targets[0].fixed
    assert anthropic.targets[0].url(b"/v1/messages") == b"/base/v1/messages"
    assert b"x-api-key: k2" in anthropic.targets[0].fixed
    assert "k1" not in repr(config)


def test_every_url_is_tried_with_every_key() -> None:
    text = '[providers.one]\nprotocol="openai"\nbase_url=["http://a/v1","http://b"]\nkeys=["env:A","env:B"]'
    config = load(text, OPENAI_API_KEY="ignored")
    found = config.provider("openai", "one")
    assert found is not None
    assert [(t.address.host, t.fixed.split(b"Bearer ")[1].strip()) for t in found.targets] == [
        ("a", b"key-a"), ("a", b"key-b"), ("b", b"key-a"), ("b", b"key-b"),
    ]  # fmt: skip
    assert config.provider("openai", "two") is None
    assert config.provider("anthropic", None) is not None


def test_a_providers_own_headers_reach_it_with_their_references_resolved() -> None:
    """As Vertex's endpoint, and Azure's, want it: the key in another header, and more headers."""
    config = load(
        '[providers.vertex]\nprotocol="anthropic"\nbase_url="https://v.example"\n'
        'headers={Authorization="Bearer env:A", x-goog-user-project="team", X-Key="env:B"}'
    )
    found = config.provider("anthropic", "vertex")
    assert found is not None
    assert found.targets[0].fixed.split(b"\r\n")[1:-1] == [
        b"authorization: Bearer key-a", b"x-goog-user-project: team", b"x-key: key-b",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["two\nlines", "smart\N{RIGHT SINGLE QUOTATION MARK}s", "nul\0"])
def test_a_key_that_no_header_can_have_is_told_and_not_quoted(key: str) -> None:
    with pytest.raises(ConfigError, match="no header can have") as of_environment:
        load(OPENAI_API_KEY=key)
    with pytest.raises(ConfigError, match="no header can have") as of_file:
        load_config('[providers.openai]\nkeys=["env:A"]', {}, lambda _: key)
    assert key not in of_environment.value.message + of_file.value.message


def test_limits() -> None:
    limits = load("[limits]\nmax_body_mib=1.5\nidle_timeout_s=9\n").limits
    assert (limits.largest_body, limits.idle_s) == (1_572_864, 9.0)


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "providers=1",
        "[providers]\nopenai=1",
        '[providers.x]\nprotocol="other"',
        '[providers.openai]\nbase_url="ftp://x"',
        '[providers.openai]\nbase_url="http://user@x"',
        '[providers.openai]\nbase_url="http://x?y=1"',
        '[providers.openai]\nbase_url="http://x:99999"',
        "[providers.openai]\nkeys=[1]",
        "[providers.openai]\nheaders={a=1}",
        '[providers.openai]\nheaders={a="x\\r\\ny: 1"}',
        "limits=1",
        "[limits]\nunknown=1",
        "[limits]\nidle_timeout_s=0",
        "[limits]\nidle_timeout_s=true",
        '[rooms]\nstrict="yes"',
        "[usage]\nkeep_days=0",
        "[usage]\nkeep_days=9999999",
        '[providers.""]\nprotocol="openai"',
        '[providers.openai]\ndefault=true\n[providers.other]\nprotocol="openai"\ndefault=true',
        "[usage]\nprices=1",
        "[usages]\nkeep_days=1",
        "strict=true",
        "[rooms]\nstrikt=true",
        '[providers.openai]\nkey="env:A"',
        '[providers.openai]\ndefault="yes"',
        '[log]\nformat="xml"',
        "[server]\nport=65536",
        "[server]\nworkers=0",
        "[server]\ndrain_seconds=-1",
        '[server]\ndatabase_url="postgresql://ann:secret@db/x"',
    ],
)
def test_what_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        load(text)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load('[providers.x]\nprotocol="y"\n[limits]\nidle_timeout_s=-1\n[rooms]\nstrict=1')
    assert all(name in caught.value.message for name in ("providers.x", "idle_timeout_s", "rooms.strict"))


def test_a_key_that_leads_nowhere_is_one_of_the_problems() -> None:
    def resolve(reference: str) -> str:
        raise CredentialError(f"{reference} leads to nothing", hint="set it")

    with pytest.raises(ConfigError) as caught:
        load_config('[providers.openai]\nkeys=["env:NONE"]\n[rooms]\nstrict=1', {}, resolve)
    assert "providers.openai: env:NONE leads to nothing (set it)" in caught.value.message
    assert "rooms.strict" in caught.value.message


def test_how_it_listens() -> None:
    assert load().server == Listening()
    chosen = load(
        '[server]\nhost="::"\nport=0\nworkers=4\ndrain_seconds=0\nweb=false\ntls_cert="c"\ntls_key="k"'
    ).server
    assert chosen == Listening(host="::", port=0, workers=4, drain_s=0.0, web=False, tls_cert="c", tls_key="k")


def test_how_it_logs() -> None:
    assert load().log == LogSettings()
    chosen = load('[log]\nformat="json"\nlevel="debug"\naccess=true').log
    assert chosen == LogSettings(json=True, level="debug", access=True)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443, ""),
        ("https://api.openai.com/v1/", "api.openai.com", 443, ""),
        ("http://[::1]:8080/a/v1", "::1", 8080, "/a"),
        ("http://h", "h", 80, ""),
    ],
)
def test_base_urls(url: str, host: str, port: int, path: str) -> None:
    address, found = split_base_url(url)
    assert (address.host, address.port, found) == (host, port, path)
