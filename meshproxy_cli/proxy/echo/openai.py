"""The echo provider in OpenAI's wire formats: Responses, Chat Completions, and small answers of the other endpoints."""

import time
from typing import Any

from meshproxy_cli.proxy.echo.text import Prompt, Reply, event, new_id

_DIMENSIONS = 8
_MODEL = "echo-1"
# A WAV file with a tenth of a second of silence: 8 kHz, 8 bits.
_SILENCE = (
    b"RIFF\x44\x03\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00"
    b"data\x20\x03\x00\x00" + b"\x80" * 800
)
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class OpenAIEcho:
    """Answers OpenAI's endpoints."""

    def reply(self, path: str, prompt: Prompt) -> Reply:
        """Return the answer for an endpoint."""
        if path in {"/v1/responses", "/v1/responses/compact"}:
            return _responses(prompt)
        if path == "/v1/chat/completions":
            return _chat(prompt)
        return _other(path, prompt)


def _usage(prompt: Prompt, output: int) -> dict[str, Any]:
    return {
        "input_tokens": prompt.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt.input_tokens + output,
    }


def _responses(prompt: Prompt) -> Reply:
    words = prompt.words()
    text = "".join(words)
    base = {"id": new_id("resp_"), "object": "response", "created_at": int(time.time()), "model": prompt.model}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    done = base | {"status": "completed", "output": [item], "usage": _usage(prompt, len(words))}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    unfinished = item | {"status": "in_progress", "content": []}
    begun = base | {"status": "in_progress", "output": [], "usage": None}
    steps: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": unfinished},
        {"type": "response.content_part.added", **place, "part": part | {"text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": word} for word in words),
        {"type": "response.output_text.done", **place, "text": text},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]
    events = [event({**step, "sequence_number": number}, step["type"]) for number, step in enumerate(steps)]
    return Reply(done, events=events)


def _chat(prompt: Prompt) -> Reply:
    words = prompt.words()
    usage = {
        "prompt_tokens": prompt.input_tokens,
        "completion_tokens": len(words),
        "total_tokens": prompt.input_tokens + len(words),
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    base = {"id": new_id("chatcmpl-"), "created": int(time.time()), "model": prompt.model}
    message = {"role": "assistant", "content": "".join(words)}
    whole = base | {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
    }
    options = prompt.document.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": word} for word in words), {}]
    chunks: list[dict[str, Any]] = [
        base
        | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": _end(delta)}]}
        | ({"usage": None} if wants_usage else {})
        for delta in deltas
    ]
    if wants_usage:
        chunks.append(base | {"object": "chat.completion.chunk", "choices": [], "usage": usage})
    return Reply(whole, events=[*(event(one) for one in chunks), b"data: [DONE]\n\n"])


def _end(delta: dict[str, Any]) -> str | None:
    return None if delta else "stop"


def _other(path: str, prompt: Prompt) -> Reply:
    model = {"id": _MODEL, "object": "model", "created": 0, "owned_by": "meshproxy"}
    simple: dict[str, Any] = {
        "/v1/models": {"object": "list", "data": [model]},
        "/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": prompt.input_tokens},
        "/v1/audio/transcriptions": {"text": "This is meshproxy's echo provider, not a model."},
        "/v1/audio/translations": {"text": "This is meshproxy's echo provider, not a model."},
    }
    if path in simple:
        return Reply(simple[path])
    if path == "/v1/embeddings":
        return _embeddings(prompt)
    if path == "/v1/audio/speech":
        return Reply(_SILENCE, kind="audio/wav")
    if path.startswith("/v1/images/"):
        return Reply({"created": int(time.time()), "data": [{"b64_json": _PIXEL}]})
    if path.startswith("/v1/models/"):
        return Reply(model | {"id": path.removeprefix("/v1/models/")})
    message = f"The echo provider does not offer {path}."
    return Reply({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}, 404)


def _embeddings(prompt: Prompt) -> Reply:
    said = prompt.document.get("input", "")
    texts = said if isinstance(said, list) else [said]
    data = [
        {"object": "embedding", "index": place, "embedding": [1.0] + [0.0] * (_DIMENSIONS - 1)}
        for place in range(len(texts))
    ]
    usage = {"prompt_tokens": prompt.input_tokens, "total_tokens": prompt.input_tokens}
    return Reply({"object": "list", "data": data, "model": prompt.model, "usage": usage})
