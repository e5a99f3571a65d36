"""API keys: MeshAgent's format to the letter, and a secret that never shows."""

import json
import traceback
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshproxy_cli.tokens.apikey import ApiKey, ApiKeyError

VECTORS = json.loads(Path(__file__).parents[1].joinpath("data/meshagent-vectors.json").read_text("utf-8"))
KEYS = [VECTORS["api_key"], *VECTORS["api_keys"]]
ENCODED = VECTORS["api_key"]["encoded"]
SECRET = VECTORS["api_key"]["secret"]


@pytest.mark.parametrize("vector", KEYS, ids=lambda vector: vector["id"][:8])
def test_vectors_decode_and_encode(vector: dict[str, str]) -> None:
    key = ApiKey.parse(vector["encoded"])
    assert (key.id, key.project_id, key.secret) == (vector["id"], vector["project_id"], vector["secret"])
    assert key.encode() == vector["encoded"]


@given(st.uuids())
def test_a_new_key_reads_back(project: uuid.UUID) -> None:
    key = ApiKey.generate(str(project))
    assert ApiKey.parse(key.encode()) == key
    assert key.project_id == str(project)
    assert len(key.secret) >= 43


def test_two_new_keys_have_nothing_in_common() -> None:
    one, other = (ApiKey.generate(KEYS[0]["project_id"]) for _ in range(2))
    assert one.id != other.id
    assert one.secret != other.secret


def test_white_space_around_a_key_is_no_part_of_it() -> None:
    assert ApiKey.parse(f"\n {ENCODED}\r\n").encode() == ENCODED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "ma-",
        "sk-" + ENCODED[3:],
        ENCODED[: -len(SECRET)],
        ENCODED[:40],
        ENCODED[: -len(SECRET)] + SECRET[:15],
        ENCODED.replace("ma-P", "ma-", 1),
        ENCODED.replace("ma-P", "ma-PP", 1),
        ENCODED.replace("zxNXg-", "zxNXh-", 1),
        ENCODED.replace("zxNXg-", "zxNX+-", 1),
        ENCODED.replace("zxNXg-", "zxNXg=-", 1),
        ENCODED + "\x00",
        ENCODED + "é",
        ENCODED + " " + ENCODED,
        ENCODED + "x" * 2000,
    ],
)
def test_anything_else_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ApiKeyError) as caught:
        ApiKey.parse(text)
    told = f"{caught.value} {caught.value.hint}"
    assert SECRET[:15] not in told
    assert "zxNX" not in told


def test_the_secret_is_in_no_representation() -> None:
    key = ApiKey.parse(ENCODED)
    assert SECRET not in repr(key)
    assert SECRET not in str(key)
    assert SECRET not in f"{key!r}{[key]}"


def test_the_secret_is_in_no_traceback() -> None:
    with pytest.raises(ApiKeyError) as caught:
        ApiKey.parse(ENCODED.replace("fJ5me", "fJ5m", 1))
    assert SECRET not in "".join(traceback.format_exception(caught.value))
