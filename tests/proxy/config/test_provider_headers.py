"""The headers that `server.toml` adds to a provider's requests."""

import pytest

from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.config.provider_headers import read_headers
from meshproxy_cli.settings.references import check_reference

KEYS = {"env:A": "key-a", "keyring:provider/b": "key-b", "file:/run/c": "key-c"}


def resolve(reference: str) -> str:
    check_reference(reference)
    return KEYS[reference]


def test_the_last_word_may_be_a_reference() -> None:
    given = {
        "Authorization": "Bearer env:A",
        "api-key": "keyring:provider/b",
        "X-Custom": "file:/run/c",
        "anthropic-version": "2023-06-01",
        "x-note": "environment: test",
        "x-empty": "",
    }
    assert read_headers(given, resolve) == given | {
        "Authorization": "Bearer key-a",
        "api-key": "key-b",
        "X-Custom": "key-c",
    }


@pytest.mark.parametrize("name", ["authorization", "API-Key", "x-api-key", "x-goog-api-key", "Cookie"])
@pytest.mark.parametrize("value", ["Bearer sk-written-out", "sk-written-out", ""])
def test_a_credential_that_is_written_out_is_refused_and_not_quoted(name: str, value: str) -> None:
    with pytest.raises(UsageError, match="written out") as refused:
        read_headers({name: value}, resolve)
    assert "sk-written-out" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "two words", "x\r\ny", "x:", "käse"])
def test_what_names_no_header_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="can't name a header"):
        read_headers({name: "x"}, resolve)


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "Connection", "upgrade", "Expect"])
def test_what_frames_a_request_is_the_proxys_own(name: str) -> None:
    with pytest.raises(UsageError, match="the proxy's own"):
        read_headers({name: "5"}, resolve)


@pytest.mark.parametrize("value", ["two\r\nlines", "5 €", "\0"])
def test_a_value_that_no_header_can_have_is_refused_and_not_quoted(value: str) -> None:
    with pytest.raises(UsageError, match="the header x-y holds") as refused:
        read_headers({"x-y": value}, resolve)
    assert value not in str(refused.value)


@pytest.mark.parametrize("table", ["x", 1, ["a"], {"a": 1}])
def test_anything_but_a_table_of_texts_is_refused(table: object) -> None:
    with pytest.raises(UsageError, match="table of texts"):
        read_headers(table, resolve)
