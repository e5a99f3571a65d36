"""What OpenAI and Anthropic put on the wire, enough of it to satisfy the real agents and SDKs.

Each builder returns the events of one answer as JSON objects; `sse` frames them. The numbers are those of `Reported`.
"""

import base64
import json
import struct
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reported:
    """Tokens that the provider put into one answer: the input includes the cached ones, the output the reasoning."""

    endpoint: str
    model: str
    input_tokens: int
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens


def sse(event: Event) -> bytes:
    """Frame an event that carries its own `type`, as both providers do; Chat Completions chunks carry none."""
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def words(text: str) -> Iterable[str]:
    """Cut a text into deltas that join to it again."""
    parts = text.split(" ")
    return [part if last else part + " " for part, last in zip(parts, [False] * (len(parts) - 1) + [True], strict=True)]


def responses_usage(numbers: Reported) -> Event:
    return {
        "input_tokens": numbers.input_tokens,
        "input_tokens_details": {"cached_tokens": numbers.cached_input_tokens},
        "output_tokens": numbers.output_tokens,
        "output_tokens_details": {"reasoning_tokens": numbers.reasoning_tokens},
        "total_tokens": numbers.input_tokens + numbers.output_tokens,
    }


def responses_body(numbers: Reported, text: str, model: str) -> Event:
    """Return the whole response object, as `POST /v1/responses` without streaming answers it."""
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": 1_780_000_000,
        "status": "completed",
        "model": model,
        "output": [_message_item(f"msg_{uuid.uuid4().hex}", text, "completed")],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": "default",
        "error": None,
        "usage": responses_usage(numbers),
    }


def responses_stream(numbers: Reported, text: str, model: str) -> list[Event]:
    done = responses_body(numbers, text, model)
    begun = done | {"status": "in_progress", "output": [], "usage": None}
    item = done["output"][0]
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    events: list[Event] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": item | {"status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **at, "part": item["content"][0] | {"text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in words(text)),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": item["content"][0]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    return [event | {"sequence_number": number} for number, event in enumerate(events)]


def responses_failure(code: str, message: str) -> Event:
    response = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "status": "failed", "usage": None}
    return {"type": "response.failed", "response": response | {"error": {"code": code, "message": message}}}


def _message_item(identifier: str, text: str, status: str) -> Event:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    return {"id": identifier, "type": "message", "status": status, "role": "assistant", "content": content}


def chat_usage(numbers: Reported) -> Event:
    return {
        "prompt_tokens": numbers.input_tokens,
        "completion_tokens": numbers.output_tokens,
        "total_tokens": numbers.input_tokens + numbers.output_tokens,
        "prompt_tokens_details": {"cached_tokens": numbers.cached_input_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": numbers.reasoning_tokens, "audio_tokens": 0},
    }


def chat_body(numbers: Reported, text: str, model: str) -> Event:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": 1_780_000_000,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": chat_usage(numbers),
        "service_tier": "default",
    }


def chat_stream(numbers: Reported, text: str, model: str, *, with_usage: bool) -> list[Event]:
    whole = chat_body(numbers, text, model)
    head = {key: whole[key] for key in ("id", "created", "model", "service_tier")} | {"object": "chat.completion.chunk"}
    if with_usage:
        head["usage"] = None

    def chunk(delta: Event, finish: str | None = None) -> Event:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}

    events = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in words(text))]
    events.append(chunk({}, "stop"))
    if with_usage:
        events.append(head | {"choices": [], "usage": chat_usage(numbers)})
    return events


def embeddings_body(numbers: Reported, model: str, *, as_base64: bool) -> Event:
    vector = [0.25, -0.5, 0.125]
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    return {
        "object": "list",
        "model": model,
        "data": [{"object": "embedding", "index": 0, "embedding": packed if as_base64 else vector}],
        "usage": {"prompt_tokens": numbers.input_tokens, "total_tokens": numbers.input_tokens},
    }


def messages_usage(numbers: Reported) -> Event:
    """Return usage as Anthropic reports it: the input without what was read from or written to the cache."""
    return {
        "input_tokens": numbers.input_tokens - numbers.cached_input_tokens - numbers.cache_write_tokens,
        "cache_read_input_tokens": numbers.cached_input_tokens,
        "cache_creation_input_tokens": numbers.cache_write_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": numbers.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": numbers.cache_write_1h_tokens,
        },
        "output_tokens": numbers.output_tokens,
        "service_tier": "standard",
    }


def messages_body(numbers: Reported, text: str, model: str) -> Event:
    return {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": messages_usage(numbers),
    }


def messages_stream(numbers: Reported, text: str, model: str) -> list[Event]:
    whole = messages_body(numbers, text, model)
    usage = whole["usage"]
    begun = whole | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    return [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in words(text)
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": usage["output_tokens"]},
        },
        {"type": "message_stop"},
    ]


def error_body(protocol: str, status: int, code: str, message: str) -> Event:
    """Return an error in the shape of the provider that `protocol` ("openai" or "anthropic") names."""
    if protocol == "anthropic":
        return {"type": "error", "error": {"type": code, "message": message}, "request_id": f"req_{uuid.uuid4().hex}"}
    return {"error": {"message": message, "type": f"status_{status}", "param": None, "code": code}}


def openai_models(names: Iterable[str]) -> Event:
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 1, "owned_by": "o"} for name in names],
    }


def anthropic_models(names: Iterable[str]) -> Event:
    data = [{"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
