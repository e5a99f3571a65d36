"""One redactor: it knows every credential that we mint, and the common ones of others, in linear time."""

import json
import re
import time
from pathlib import Path

import pytest

from meshproxy_cli.configedit.plan import FileEdit
from meshproxy_cli.configedit.show import diff
from meshproxy_cli.redact import Redactor, holds_secret, redact, redact_settings
from meshproxy_cli.store import open_store
from meshproxy_cli.store.engine.vault import encode_master_keys, generate_master_key
from meshproxy_cli.store.records import Role
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import mint
from meshproxy_cli.tokens.spec import TokenSpec

PACKAGE = Path(__file__).resolve().parents[1] / "meshproxy_cli"
KEY = ApiKey.generate("5f0c9b4e-7d3a-4c83-9a31-0c6d8f3f2b11")
OTHERS = (
    "sk-proj-abcdefgh12345678",
    "sk-ant-api03-abc_def-123",
    "sk-or-v1-0123456789abcdef",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    "github_pat_11ABCDEFG0123456789_abcdefghijkl",
    "AIzaSyA-0123456789abcdefghijklmnopqrstu",
    "xai-0123456789abcdefABCDEF",
    "gsk_0123456789abcdefABCDEF",
    "hf_0123456789abcdefABCDEFgh",
    "glpat-0123456789abcdefghij",
    "xoxb-123456789012-abcdefghijkl",
)
# Where random bytes become a credential, and the test below that covers it.
MINTED_IN = {
    "tokens/apikey.py": "API key",
    "store/parts/access_tokens.py": "access token",
    "store/engine/vault.py": "master key",
    "proxy/admin/dashboard/sessions.py": "dashboard cookie",
}
NOT_CREDENTIALS = {
    "proxy/core/ids.py": "request ids",
    "proxy/websocket/frames.py": "masks of frames",
    "proxy/admin/services.py": "a key that never leaves the process",
    "proxy/process/worker.py": "the same",
}


def minted(tmp_path: Path) -> dict[str, str]:
    """Return one of each credential, made by the code that makes it."""
    store = open_store(f"sqlite:///{tmp_path / 'x.db'}", master_key=(generate_master_key(),))
    try:
        _, access = store.access_tokens.create("ann", Role.ADMIN)
    finally:
        store.close()
    token = mint(TokenSpec.for_room("ann", "room"), KEY, now=1_800_000_000)
    return {
        "API key": KEY.encode(),
        "its secret": KEY.secret,
        "access token": access,
        "participant token": token,
        "master key": encode_master_keys([generate_master_key()]),
        "dashboard cookie": "eyJ0b2tlbl9pZCI6IjEiLCJleHBpcmVzX2F0IjoxfQ==.0123456789abcdef",
    }


@pytest.mark.parametrize("around", ["{}", "key={} x", '{{"a": "{}"}}', "b'{}'", "Authorization: Bearer {}\r\n"])
@pytest.mark.parametrize("clean", [redact, redact_settings, Redactor()], ids=["messages", "settings", "logs"])
def test_all_that_we_mint_is_gone(tmp_path: Path, around: str, clean: Redactor) -> None:
    for what, secret in minted(tmp_path).items():
        found = clean(around.format(secret))
        assert secret[:-4] not in found, what
        assert secret[8:30] not in found, what
        assert "(secret)" in found, what
        assert holds_secret(secret), what


def test_every_place_that_mints_is_covered() -> None:
    sources = re.compile(r"token_urlsafe|token_bytes|token_hex|os\.urandom")
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if sources.search(re.sub(r"'make one with:.*", "", path.read_text(encoding="utf-8")))
    }
    assert found == set(MINTED_IN) | set(NOT_CREDENTIALS)


@pytest.mark.parametrize("secret", OTHERS)
def test_those_of_others_are_gone(secret: str) -> None:
    assert redact(f"<{secret}>") == "<(secret)>"
    shown = diff([FileEdit(Path("/f"), "json", json.dumps({"x": secret}).encode() + b"\n", b"{}\n", None)])
    assert secret[5:] not in shown


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://ann:pa/ss@word@db/x?password=hunter22", "postgresql://(secret)@db/x?password=(secret)"),
        ("https://me:token@host/x", "https://(secret)@host/x"),
        ("X-Api-Key: abcdef123456", "X-Api-Key: (secret)"),
        ("Cookie: session=abc123", "Cookie: (secret)"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "(secret)"),
    ],
)
def test_what_stands_behind_a_name_is_gone(text: str, clean: str) -> None:
    assert redact(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "key=8af8df11-e7da-4642-8561-8ef4c4a118d0 room task-force at https://host:8080/x?mail=a@b",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "API key: from the keyring",
    ],
)
def test_words_and_ids_stay(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "seed", ["ma-", "eyJ.", "://a:", "sk-", "Bearer ", 'key="', "A1b", "-----BEGIN ", "a@", "x" * 43]
)
def test_hostile_text_costs_linear_time(seed: str) -> None:
    def cost(size: int) -> float:
        text = (seed * (size // len(seed) + 1))[:size]
        return min(_timed(text) for _ in range(3))

    assert cost(160_000) < 40 * cost(20_000)  # eight times the text; quadratic would be sixty-four times the cost


def _timed(text: str) -> float:
    start = time.process_time()
    redact(text)
    redact_settings(text)
    return time.process_time() - start
