"""Secrets in what is logged."""

import pytest

from meshproxy_cli.proxy.config.server import load_config
from meshproxy_cli.proxy.redaction import Redactor, secrets_of
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

KEY = ApiKey.generate("5f0c9b4e-7d3a-4c83-9a31-0c6d8f3f2b11")
TOKEN = mint(TokenSpec.for_room("ann", "room"), KEY, now=1_800_000_000)


@pytest.mark.parametrize(
    "secret",
    [
        KEY.encode(),
        TOKEN,
        "sk-proj-abcdefgh12345678",
        "sk-ant-api03-abc_def-123",
        "mpa_0123456789abcdef-_0123456789",
    ],
    ids=["API key", "token", "OpenAI", "Anthropic", "access token"],
)
@pytest.mark.parametrize("around", ["{}", "key={} x", '{{"a": "{}"}}', "b'{}'", "Authorization: Bearer {}\r\n"])
def test_what_looks_like_a_secret_is_gone(secret: str, around: str) -> None:
    found = Redactor()(around.format(secret))
    assert secret not in found
    assert secret[8:] not in found
    assert "(secret)" in found


def test_logins_in_urls_and_headers() -> None:
    redact = Redactor()
    assert redact("postgresql://ann:pass@db/x") == "postgresql://(secret)@db/x"
    assert redact("Authorization: Basic YW5uOnBhc3M=") == "Authorization: Basic (secret)"
    assert redact("proxy-authorization: bearer abc.def-ghi") == "proxy-authorization: bearer (secret)"


def test_words_stay() -> None:
    text = "worker 0 ended; room task-force, session codex-ann-laptop; https://api.openai.com/v1 (req_0123)"
    assert Redactor(["", "x", "short"])(text) == text


def test_known_values_are_gone_wherever_they_stand_the_longest_first() -> None:
    redact = Redactor(["correct horse", "correct horse battery"])
    assert redact("<correct horse battery staple>") == "<(secret) staple>"


def test_all_that_a_server_holds() -> None:
    config = load_config(
        '[providers.openai]\nkeys=["env:A"]\nheaders={x-gateway="gateway secret", User-Agent="meshproxy"}\n',
        {},
        lambda _: "plain key of the team",
    )
    environ = {"ANTHROPIC_API_KEY": "other key", "HOME": "/home/ann", "MESHPROXY_MASTER_KEY": "bWFzdGVy"}
    found = set(secrets_of(config, {"file:k": "from a file"}, environ, "postgresql://ann:p%40ssword@db/x"))
    wanted = {
        "plain key of the team",
        "other key",
        "bWFzdGVy",
        "from a file",
        "p%40ssword",
        "p@ssword",
        "gateway secret",
    }
    assert wanted <= found
    assert not {"/home/ann", "meshproxy"} & found
