"""The echo provider in Anthropic's wire formats."""

from typing import Any

from meshproxy_cli.proxy.echo.text import Prompt, Reply, event, new_id

_MODEL = "claude-echo-1"


class AnthropicEcho:
    """Answers Anthropic's endpoints."""

    def reply(self, path: str, prompt: Prompt) -> Reply:
        """Return the answer for an endpoint."""
        if path == "/v1/messages":
            return _messages(prompt)
        if path == "/v1/messages/count_tokens":
            return Reply({"input_tokens": prompt.input_tokens})
        if path == "/v1/complete":
            text = "".join(prompt.words())
            return Reply({"type": "completion", "id": new_id("compl_"), "completion": text, "model": prompt.model,
                          "stop_reason": "stop_sequence"})  # fmt: skip
        if path == "/v1/models":
            page = {"data": [_model(_MODEL)], "has_more": False, "first_id": _MODEL, "last_id": _MODEL}
            return Reply(page)
        if path.startswith("/v1/models/"):
            return Reply(_model(path.removeprefix("/v1/models/")))
        error = {"type": "not_found_error", "message": f"The echo provider does not offer {path}."}
        return Reply({"type": "error", "error": error}, 404)


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": "meshproxy's echo provider (no model)",
        "created_at": "2026-01-01T00:00:00Z",
    }


def _usage(prompt: Prompt, output: int) -> dict[str, int]:
    return {
        "input_tokens": prompt.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    }


def _messages(prompt: Prompt) -> Reply:
    words = prompt.words()
    base: dict[str, Any] = {
        "id": new_id("msg_"), "type": "message", "role": "assistant", "model": prompt.model, "stop_sequence": None,
    }  # fmt: skip
    text = {"type": "text", "text": "".join(words)}
    whole = base | {"content": [text], "stop_reason": "end_turn", "usage": _usage(prompt, len(words))}
    start = base | {"content": [], "stop_reason": None, "usage": _usage(prompt, 1)}
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    steps: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in words),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ending, "usage": {"output_tokens": len(words)}},
        {"type": "message_stop"},
    ]
    return Reply(whole, events=[event(step, step["type"]) for step in steps])
