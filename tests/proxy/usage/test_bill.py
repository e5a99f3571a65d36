"""What providers invoice, worked out by hand: each answer read, then priced, with the rates of genai-prices 0.2.3."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from fixtures.usage import usage_event
from meshproxy_cli.proxy.events.entry import Entry, Subject, encode, with_shares
from meshproxy_cli.proxy.events.rows import RowMaker
from meshproxy_cli.proxy.usage.meter import meter_for
from meshproxy_cli.proxy.usage.pricefile import parse_price_file
from meshproxy_cli.proxy.usage.pricing import PriceBook, PricedProvider
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.engine.eventrows import to_event
from meshproxy_cli.store.events import Outcome, TokenCounts, UsageEvent

PROVIDERS = {
    "openai": PricedProvider("openai", "https://api.openai.com/v1"),
    "us": PricedProvider("openai", "https://us.api.openai.com/v1"),
    "anthropic": PricedProvider("anthropic", "https://api.anthropic.com"),
    "xai": PricedProvider("openai", "https://api.x.ai/v1"),
    "deepseek": PricedProvider("openai", "https://api.deepseek.com"),
    "groq": PricedProvider("openai", "https://api.groq.com/openai/v1"),
    "openrouter": PricedProvider("openai", "https://openrouter.ai/api/v1"),
}
PEAK = datetime(2026, 11, 24, 2, tzinfo=UTC)
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"


def read(endpoint: str, answer: dict[str, Any], *, streamed: bool) -> list[Reading]:
    """Meter the answer, split at every byte where it is a stream."""
    body = json.dumps(answer).encode()
    if streamed and endpoint == RESPONSES:
        event = json.dumps({"type": "response.completed", "response": answer}).encode()
        body = b"event: response.completed\ndata: " + event + b"\n\n"
    elif streamed and endpoint == CHAT:
        body = b"data: " + json.dumps({**answer, "choices": []}).encode() + b"\n\ndata: [DONE]\n\n"
    elif streamed:
        start = {**answer, "usage": {**answer["usage"], "output_tokens": 1}}
        delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": answer["usage"]}
        events = [{"type": "message_start", "message": start}, delta, {"type": "message_stop"}]
        body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    protocol = "anthropic" if endpoint == MESSAGES else "openai"
    kind = b"text/event-stream" if streamed else b"application/json"
    readings = []
    for at in range(len(body)):
        meter = meter_for(protocol=protocol, endpoint=endpoint, status=200, content_type=kind, content_encoding=b"")
        meter.feed(body[:at])
        meter.feed(body[at:])
        readings.append(meter.finish())
    return readings


def events(reading: Reading, provider: str, at: datetime = PEAK) -> list[UsageEvent]:
    """Record a reading, ship it and price it, the way that it goes in a server."""
    entry = Entry(event_id="a", request_id="r", started_at=at, streamed=True, status=200, outcome=Outcome.OK)
    entry.take(reading)
    subject = Subject(
        project_id="p", room="r", session="s", participant="x", key_id="k", agent="", provider=provider,
        endpoint="/v1/x", method="POST",
    )  # fmt: skip
    lines = b"".join(encode(one, subject) for one in with_shares(entry, reading))

    def refuse(line: bytes, reason: str) -> None:
        raise AssertionError((line, reason))

    return list(map(to_event, RowMaker(PriceBook(PROVIDERS), refuse).rows(lines)))


def usage(read: int = 10_000, wrote: int = 1000, **more: Any) -> dict[str, Any]:
    return {"input_tokens": read, "output_tokens": wrote, **more}


def chat(read: int = 10_000, wrote: int = 1000, **more: Any) -> dict[str, Any]:
    return {"prompt_tokens": read, "completion_tokens": wrote, **more}


GROK = chat(10_120, 1499, total_tokens=14_428, prompt_tokens_details={"cached_tokens": 128},
            completion_tokens_details={"reasoning_tokens": 2809})  # fmt: skip
OSS, OPUS = "openai/gpt-oss-120b", "claude-opus-4-8"
CASES = {
    "reasoning on top": ("xai", CHAT, {"model": "grok-4.6", "usage": GROK}, "0.045896"),
    "cache hits": ("deepseek", CHAT, {"model": "deepseek-v4-pro", "usage": chat(prompt_cache_hit_tokens=9000)},
                   "0.005676"),
    "unknown tier": ("groq", CHAT, {"model": OSS, "service_tier": "on_demand", "usage": chat()}, "0.0021"),
    "usage in x_groq": ("groq", CHAT, {"model": OSS, "x_groq": {"usage": chat()}}, "0.0021"),
    "inference_geo": ("anthropic", MESSAGES, {"model": OPUS, "usage": usage(inference_geo="us")}, "0.0825"),
    "served anywhere": ("anthropic", MESSAGES, {"model": OPUS, "usage": usage(inference_geo="global")}, "0.075"),
    "regional host": ("us", RESPONSES, {"model": "gpt-5.4", "usage": usage()}, "0.044"),
    "regional host, older model": ("us", RESPONSES, {"model": "gpt-4o", "usage": usage()}, "0.035"),
    "web search": ("anthropic", MESSAGES, {"model": OPUS, "usage": usage(
        server_tool_use={"web_search_requests": 3})}, "0.105"),
    "web search of Responses": ("openai", RESPONSES, {"model": "gpt-5.4", "usage": usage(),
        "tool_usage": {"web_search": {"num_requests": 2}}}, "0.06"),
    "image": ("openai", RESPONSES, {"model": "gpt-5.4", "usage": usage(),
        "tool_usage": {"image_gen": {"input_tokens": 100, "output_tokens": 4000}}}, "0.1605"),
    "OpenRouter's cost": ("openrouter", CHAT, {"model": "x", "usage": chat(cost=0.0123)}, "0.0123"),
    "xAI's ticks": ("xai", CHAT, {"model": "grok-4.6", "usage": chat(cost_in_usd_ticks=458_960_000)}, "0.045896"),
    "audio without a rate": ("openai", CHAT, {"model": "gpt-4o-audio-preview", "usage": chat(
        prompt_tokens_details={"audio_tokens": 44})}, None),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_an_answer_costs_what_the_provider_invoices(name: str, *, streamed: bool) -> None:
    provider, endpoint, answer, expected = CASES[name]
    readings = read(endpoint, answer, streamed=streamed)
    assert all(reading == readings[0] for reading in readings)
    found = events(readings[0], provider)
    costs = [event.cost_usd for event in found]
    assert (None if None in costs else sum(costs)) == (None if expected is None else Decimal(expected))  # type: ignore[arg-type]
    reported = name in {"OpenRouter's cost", "xAI's ticks"}
    assert (found[0].price_snapshot == "provider") is reported


def test_the_last_totals_of_a_stream_that_are_all_zero_leave_the_first_ones() -> None:
    start = usage(10_000, 1)
    zeros = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 9}
    assert _two(start, zeros).input_tokens == 10_000
    assert _two(start, {**zeros, "cache_read_input_tokens": 7}).input_tokens == 7


def test_cache_writes_after_the_split_are_of_the_kind_seen_so_far() -> None:
    start = usage(2, 1, cache_creation_input_tokens=31_490, cache_creation={"ephemeral_1h_input_tokens": 31_490})
    counts = _two(start, usage(2, 9, cache_creation_input_tokens=184_457))
    assert (counts.cache_write_1h_tokens, counts.cache_write_5m_tokens) == (184_457, 0)


def _two(start: dict[str, Any], end: dict[str, Any]) -> TokenCounts:
    meter = meter_for(
        protocol="anthropic", endpoint=MESSAGES, status=200, content_type=b"text/event-stream", content_encoding=b""
    )
    message = {"type": "message_start", "message": {"model": OPUS, "usage": start}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end}
    for event in (message, delta):
        meter.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    tokens = meter.finish().tokens
    assert tokens is not None
    return tokens


@pytest.mark.parametrize(
    ("model", "provider", "like"),
    [
        ("gpt-6.2-sol", "openai", "gpt-6.1-sol"),
        ("claude-opus-5-7@20270101", "anthropic", "claude-opus-5-5"),
        ("us.anthropic.claude-sonnet-5-7-20270101-v1:0", "anthropic", "claude-sonnet-5-5"),
        ("acme-6.2-sol", "openai", ""),
        ("gpt-9-tts", "openai", ""),
    ],
)
def test_a_model_of_a_known_family_has_its_latest_rate_and_is_marked(model: str, provider: str, like: str) -> None:
    book, tokens = PriceBook(PROVIDERS), TokenCounts(input_tokens=10_000, output_tokens=1000)
    event = book.price(usage_event(provider=provider, model_served=model, tokens=tokens, started_at=PEAK))
    other = book.price(usage_event(provider=provider, model_served=like, tokens=tokens, started_at=PEAK))
    assert event.price_estimated is bool(like)
    assert (event.cost_usd is None) is not bool(like)
    if like:
        assert (event.cost_usd, other.price_estimated) == (other.cost_usd, False)


def test_a_multiplier_of_the_price_file_comes_first() -> None:
    file = parse_price_file(b'[[multiplier]]\nregion = "us"\nmodel = "claude-*"\nfactor = 2\n')
    event = usage_event(provider="anthropic", model_served=OPUS, region="us", started_at=PEAK,
                        tokens=TokenCounts(input_tokens=10_000, output_tokens=1000))  # fmt: skip
    assert PriceBook(PROVIDERS, file).price(event).cost_usd == Decimal("0.15")


@pytest.mark.parametrize("odd", [-1, 0.5, 1e300, -1e300, "7", True, None, [], {}, 10**40])
def test_odd_numbers_of_a_provider_neither_raise_nor_spoil_sums(odd: object) -> None:
    counts = dict.fromkeys(("cost", "cost_in_usd_ticks", "total_tokens", "prompt_cache_hit_tokens", "cached_tokens",
                            "cost_details", "is_byok", "inference_geo", "server_tool_use"), odd)  # fmt: skip
    tools = {"web_search": {"num_requests": odd}, "image_gen": {"input_tokens": odd, "output_tokens": odd}}
    for endpoint, answer in (
        (CHAT, {"model": "gpt-5.4", "usage": chat(**counts)}),
        (RESPONSES, {"model": "gpt-5.4", "usage": usage(**counts), "tool_usage": tools, "tools": [odd]}),
        (RESPONSES, {"model": "gpt-5.4", "usage": usage(), "tool_usage": odd, "x_groq": odd}),
        (MESSAGES, {"model": OPUS, "usage": usage(**counts)}),
        (MESSAGES, {"model": OPUS, "usage": usage(server_tool_use={"web_search_requests": odd})}),
    ):
        for event in events(read(endpoint, answer, streamed=False)[0], "openai"):
            assert event.cost_usd is None or 0 <= event.cost_usd <= 10_000
