"""The quick way of reading a whole answer says what the careful way says, or leaves the answer to it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproxy_cli.proxy.usage.anthropic import AnthropicDialect
from meshproxy_cli.proxy.usage.dialect import Dialect
from meshproxy_cli.proxy.usage.openai import ChatDialect, OpenAIDialect
from meshproxy_cli.proxy.usage.reading import Reading

pytestmark = pytest.mark.thorough

ODD: list[Any] = [None, True, -1, 0, 7, 1.0, 1.5, 10**13, "7", [], {}, "default", "fast", "x\n", "é", "m" * 201]
DETAILS = st.one_of(
    st.sampled_from(ODD),
    st.dictionaries(
        st.sampled_from([
            "cached_tokens", "audio_tokens", "reasoning_tokens", "thinking_tokens", "ephemeral_1h_input_tokens",
            "ephemeral_5m_input_tokens", "cached_tokens_details", "other",
        ]),
        st.one_of(st.sampled_from(ODD), st.just({"audio_tokens": 2})),
    ),
)  # fmt: skip
USAGE = st.one_of(
    st.sampled_from(ODD),
    st.dictionaries(
        st.sampled_from([
            "input_tokens", "output_tokens", "prompt_tokens", "completion_tokens", "input_tokens_details",
            "output_tokens_details", "prompt_tokens_details", "cache_read_input_tokens", "cache_creation",
            "cache_creation_input_tokens", "iterations", "speed", "service_tier", "seconds", "other",
        ]),
        st.one_of(st.integers(0, 99), DETAILS),
        max_size=8,
    ),
)  # fmt: skip
ANSWERS = st.dictionaries(st.sampled_from(["id", "model", "service_tier", "error", "type", "output"]), DETAILS).flatmap(
    lambda members: st.one_of(st.just(members), USAGE.map(lambda usage: {**members, "usage": usage}))
)


def carefully(kind: type[Dialect], data: bytes) -> Reading:
    dialect = kind()
    dialect.read_body(data)
    return dialect.reading(0)


@pytest.mark.parametrize("kind", [OpenAIDialect, ChatDialect, AnthropicDialect])
@settings(max_examples=400, deadline=None)
@given(answer=ANSWERS)
def test_whatever_an_answer_holds(kind: type[Dialect], answer: dict[str, Any]) -> None:
    data = json.dumps(answer).encode()
    quickly = kind.parse_fast(data)
    assert quickly is None or quickly == carefully(kind, data)


@pytest.mark.parametrize(
    ("kind", "usage"),
    [
        (OpenAIDialect, {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}}),
        (ChatDialect, {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}),
        (AnthropicDialect, {"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": 4, "speed": "fast"}),
    ],
)
def test_a_usual_answer_is_read_quickly(kind: type[Dialect], usage: dict[str, Any]) -> None:
    data = json.dumps({"id": "a", "model": "m", "usage": usage, "output": ["\u2713"]}).encode()
    reading = kind.parse_fast(data)
    assert reading is not None
    assert reading == carefully(kind, data)
    assert reading.tokens is not None
    assert (reading.tokens.input_tokens, reading.tokens.cached_input_tokens, reading.complete) == (9, 4, True)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"usage":{"output_tokens":1}', b"[" * 10_000, b"\xff"])
@pytest.mark.parametrize("kind", [OpenAIDialect, ChatDialect, AnthropicDialect])
def test_what_is_no_document_is_left_to_care(kind: type[Dialect], data: bytes) -> None:
    assert kind.parse_fast(data) is None
