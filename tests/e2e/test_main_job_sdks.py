"""The main job with the official Python SDKs: every kind of call answers, and every token is counted once."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from anthropic import Anthropic
from openai import OpenAI

from e2e.accounts import reported_totals, totals_of
from e2e.provider import ANTHROPIC_KEY, OPENAI_KEY
from fixtures.proxies import RoomProxy

pytestmark = pytest.mark.e2e

GPT = "gpt-5.4"
CLAUDE = "claude-sonnet-4-6"
ANSWER = "The provider heard: ping"
PROMPT = [{"role": "user", "content": "ping"}]


@pytest.fixture
def room(request: pytest.FixtureRequest, room_proxy: RoomProxy) -> str:
    """Return a room of the test's own, so that its usage is its own."""
    room_proxy.provider.forget()
    return re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture
def openai(room_proxy: RoomProxy, room: str) -> Iterator[OpenAI]:
    session = {"Meshagent-Session": "openai-sdk"}
    token = room_proxy.token(room)
    with OpenAI(base_url=room_proxy.openai(room), api_key=token, default_headers=session, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(room_proxy: RoomProxy, room: str) -> Iterator[Anthropic]:
    session = {"Meshagent-Session": "anthropic-sdk"}
    token = room_proxy.token(room)
    with Anthropic(
        base_url=room_proxy.anthropic(room), api_key=token, default_headers=session, max_retries=0
    ) as client:
        yield client


def responses(client: OpenAI) -> str:
    return client.responses.create(model=GPT, input="ping").output_text


def responses_streamed(client: OpenAI) -> str:
    with client.responses.create(model=GPT, input="ping", stream=True) as stream:
        return "".join(event.delta for event in stream if event.type == "response.output_text.delta")


def chat(client: OpenAI) -> str:
    return client.chat.completions.create(model=GPT, messages=PROMPT).choices[0].message.content


def chat_streamed_with_usage(client: OpenAI) -> str:
    options = {"include_usage": True}
    with client.chat.completions.create(model=GPT, messages=PROMPT, stream=True, stream_options=options) as stream:
        chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].choices == []
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def chat_streamed(client: OpenAI) -> str:
    with client.chat.completions.create(model=GPT, messages=PROMPT, stream=True) as stream:
        chunks = list(stream)
    assert [chunk for chunk in chunks if not chunk.choices] == [], "a chunk that the client did not ask for"
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


OPENAI_CALLS = [responses, responses_streamed, chat, chat_streamed_with_usage, chat_streamed]


def messages(client: Anthropic) -> str:
    return client.messages.create(model=CLAUDE, max_tokens=64, messages=PROMPT).content[0].text


def messages_streamed(client: Anthropic) -> str:
    with client.messages.stream(model=CLAUDE, max_tokens=64, messages=PROMPT) as stream:
        return "".join(stream.text_stream)


ANTHROPIC_CALLS = [messages, messages_streamed]


def assert_counted(proxy: RoomProxy, room: str) -> None:
    assert len(proxy.provider.reported) == 1
    report = proxy.usage("--room", room, requests=1)
    assert totals_of(report) == reported_totals(proxy.provider.reported)


@pytest.mark.parametrize("call", OPENAI_CALLS, ids=lambda call: call.__name__)
def test_openai_sdk(room_proxy: RoomProxy, room: str, openai: OpenAI, call: Callable[[OpenAI], str]) -> None:
    assert call(openai) == ANSWER
    [request] = room_proxy.provider.requests
    assert request.all_of("Authorization") == [f"Bearer {OPENAI_KEY}"]
    assert request.header("Meshagent-Session") is None
    assert_counted(room_proxy, room)


@pytest.mark.parametrize("call", ANTHROPIC_CALLS, ids=lambda call: call.__name__)
def test_anthropic_sdk(
    room_proxy: RoomProxy, room: str, anthropic: Anthropic, call: Callable[[Anthropic], str]
) -> None:
    assert call(anthropic) == ANSWER
    [request] = room_proxy.provider.requests
    assert (request.all_of("x-api-key"), request.all_of("Authorization")) == ([ANTHROPIC_KEY], [])
    assert request.header("Meshagent-Session") is None
    assert_counted(room_proxy, room)


def test_embeddings(room_proxy: RoomProxy, room: str, openai: OpenAI) -> None:
    answer = openai.embeddings.create(model="text-embedding-3-small", input="ping")
    assert answer.data[0].embedding == [0.25, -0.5, 0.125]
    assert_counted(room_proxy, room)


def test_both_sdks_list_models(openai: OpenAI, anthropic: Anthropic) -> None:
    assert GPT in {model.id for model in openai.models.list()}
    assert CLAUDE in {model.id for model in anthropic.models.list()}


def test_counting_tokens_uses_none(room_proxy: RoomProxy, room: str, anthropic: Anthropic) -> None:
    assert anthropic.messages.count_tokens(model=CLAUDE, messages=PROMPT).input_tokens > 0
    messages(anthropic)
    report = room_proxy.usage("--room", room, requests=1)
    assert report["totals"]["input_tokens"] == room_proxy.provider.reported[0].input_tokens


def test_many_at_once_are_counted_once_each(room_proxy: RoomProxy, room: str, openai: OpenAI) -> None:
    with ExitStack() as stack:
        streams = [
            stack.enter_context(openai.responses.create(model=GPT, input=f"ping {number}", stream=True))
            for number in range(20)
        ]
        ends = [[event.type for event in stream][-1] for stream in streams]
    assert ends == ["response.completed"] * 20
    report = room_proxy.usage("--room", room, requests=20)
    assert totals_of(report) == reported_totals(room_proxy.provider.reported)
