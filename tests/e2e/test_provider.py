"""The recording provider itself: what the end-to-end tests rely on when they compare numbers."""

import http.client
import json

import pytest
from anthropic import Anthropic
from openai import AuthenticationError, InternalServerError, OpenAI

from e2e.provider import ANTHROPIC_KEY, OPENAI_KEY, Behavior, RecordingProvider


def test_it_reports_what_it_counts(provider: RecordingProvider) -> None:
    provider.forget()
    with OpenAI(base_url=f"{provider.origin}/v1", api_key=OPENAI_KEY, max_retries=0) as client:
        used = client.responses.create(model="gpt-5.4", input="ping").usage
    assert used is not None
    [reported] = provider.reported
    assert (used.input_tokens, used.output_tokens) == (reported.input_tokens, reported.output_tokens)
    assert used.input_tokens_details.cached_tokens == reported.cached_input_tokens > 0
    assert used.output_tokens_details.reasoning_tokens == reported.reasoning_tokens > 0


def test_anthropic_input_comes_without_the_cached_parts(provider: RecordingProvider) -> None:
    provider.forget()
    with Anthropic(base_url=provider.origin, api_key=ANTHROPIC_KEY, max_retries=0) as client:
        used = client.messages.create(
            model="claude-sonnet-4-6", max_tokens=9, messages=[{"role": "user", "content": "ping"}]
        ).usage
    [reported] = provider.reported
    cached = (used.cache_read_input_tokens or 0) + (used.cache_creation_input_tokens or 0)
    assert used.input_tokens + cached == reported.input_tokens
    assert reported.cache_write_5m_tokens != reported.cache_write_1h_tokens


def test_it_wants_its_own_key(provider: RecordingProvider) -> None:
    wrong = OpenAI(base_url=f"{provider.origin}/v1", api_key="another", max_retries=0)
    with wrong as client, pytest.raises(AuthenticationError):
        client.responses.create(model="gpt-5.4", input="ping")


def test_it_fails_when_told(provider: RecordingProvider) -> None:
    provider.next(Behavior(status=500, error_message="on purpose"))
    with OpenAI(base_url=f"{provider.origin}/v1", api_key=OPENAI_KEY, max_retries=0) as client:
        with pytest.raises(InternalServerError, match="on purpose"):
            client.responses.create(model="gpt-5.4", input="ping")
        assert client.responses.create(model="gpt-5.4", input="ping").output_text == "The provider heard: ping"


def test_it_notices_a_client_that_leaves(provider: RecordingProvider) -> None:
    provider.forget()
    provider.next(Behavior(stalls_after=2))
    connection = http.client.HTTPConnection(provider.origin.removeprefix("http://"), timeout=10)
    body = json.dumps({"model": "gpt-5.4", "input": "ping", "stream": True})
    connection.request("POST", "/v1/responses", body, {"Authorization": f"Bearer {OPENAI_KEY}"})
    answer = connection.getresponse()
    assert answer.readline() == b"event: response.created\n"
    answer.close()
    connection.close()
    assert provider.requests[0].client_left.wait(10)
    assert provider.reported == []


def test_it_records_bytes_as_they_came(provider: RecordingProvider) -> None:
    provider.forget()
    connection = http.client.HTTPConnection(provider.origin.removeprefix("http://"), timeout=10)
    connection.request("POST", "/v1/x?a=%2F", [b"one", b"two"], {"X-Odd": "Yes"}, encode_chunked=True)
    assert connection.getresponse().status == 401
    connection.close()
    [request] = provider.requests
    assert (request.target, request.body, request.all_of("x-odd")) == ("/v1/x?a=%2F", b"onetwo", ["Yes"])
