"""Usage in Anthropic's answers: Messages and Text Completions, streamed or not.

A stream tells its usage cumulatively: `message_start` has the input and a placeholder for the output, `message_delta`
the totals so far. Of each field the last value counts, never the sum nor the maximum.
"""

import re
from typing import Any

import msgspec

from meshproxy_cli.proxy.usage.dialect import (
    BLANK_LINE,
    TEXT,
    Findings,
    error_code,
    parse,
    parse_clipped,
    parse_outline,
    unfinished,
)
from meshproxy_cli.proxy.usage.iterations import split_by_model
from meshproxy_cli.proxy.usage.numbers import (
    Json,
    Tokens,
    are_names,
    count_of,
    name_of,
    region_of,
    reported_cost,
    section,
    typed,
)
from meshproxy_cli.proxy.usage.reading import AnswerItem, Reading
from meshproxy_cli.store.events import TokenCounts


class AnthropicDialect:
    """Collects the numbers of one answer of Anthropic's API."""

    plain = re.compile(
        rb'event: content_block_delta\r?\ndata: \{"type": ?"content_block_delta", ?"index": ?\d++, ?"delta": ?\{'
        rb'"type": ?"[a-z_]++", ?"(?:text|partial_json|thinking)": ?"(' + TEXT + rb')"\} *+\} *+' + BLANK_LINE
    )
    text = re.compile(
        rb'(?:_delta"\s*+,\s*+"(?:text|partial_json|thinking|content)|"completion)"\s*+:\s*+"(' + TEXT + rb')"'
    )
    markers = re.compile(rb'"usage"|"error"|"container"|"message_stop"|"fallback"|"completion"')

    def __init__(self) -> None:
        self._found = Findings()
        self._asked = ""  # the model that began the answer; a fallback may end it

    @property
    def ended(self) -> bool:
        return self._found.ended or bool(self._found.error)

    def read_event(self, data: bytes) -> None:
        self._take_event(parse(data))

    @staticmethod
    def parse_fast(data: bytes) -> Reading | None:
        try:
            message = _USUAL.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        usage = message.usage
        region = region_of({"inference_geo": usage.inference_geo})
        tier = "fast" if usage.speed == "fast" else usage.service_tier or ""
        if usage.output_tokens is None or not are_names(message.model, tier, region):
            return None
        return Reading(
            tokens=_counts(usage),
            model=message.model,
            service_tier=tier,
            answer_id=message.id if are_names(message.id) else "",
            region=region,
            complete=True,
        )

    def read_body(self, data: bytes) -> None:
        message = parse_outline(data)
        self._take_message(message or {})
        self._found.ended = message is not None

    def read_clipped(self, data: bytes) -> None:
        document = parse_clipped(data)
        if name_of(document, "type").startswith("message_"):
            self._take_event(document)
        else:
            self._take_message(document)

    def _take_event(self, event: Json) -> None:
        found = self._found
        match event.get("type"):
            case "message_start":
                message = section(event, "message")
                found.model = self._asked = name_of(message, "model")
                self._take_ids(message)
                self._take_usage(section(message, "usage"))
            case "content_block_start":
                # The block of a server-side fallback names the model that goes on with the answer.
                block = section(event, "content_block")
                if block.get("type") == "fallback":
                    found.model = name_of(section(block, "to"), "model") or found.model
            case "message_delta":
                usage = section(event, "usage")
                self._take_usage(usage if tokens_of(usage).input_tokens else _without_input(usage))
                self._take_ids(section(event, "delta"))
                if "output_tokens" in usage and section(event, "delta").get("stop_reason"):
                    found.terminal = True
            case "message_stop":
                found.ended = True
            case "completion":
                found.model = name_of(event, "model")
                found.ended = bool(event.get("stop_reason"))
            case "error":
                found.error = error_code(event)

    def _take_message(self, message: Json) -> None:
        found = self._found
        if "error" in message:
            found.error = error_code(message)
            return
        found.model = name_of(message, "model")
        self._take_ids(message)
        usage = section(message, "usage")
        self._take_usage(usage)
        found.ended = bool(message)
        found.terminal = "output_tokens" in usage

    def _take_ids(self, message: Json) -> None:
        """Note the message's id, and that of the container in which its code ran."""
        found = self._found
        found.answer_id = name_of(message, "id") or found.answer_id
        if container := name_of(section(message, "container"), "id"):
            found.items[container] = AnswerItem(container, whole=False)

    def _take_usage(self, usage: Json) -> None:
        self._found.usage.update({name: value for name, value in usage.items() if value is not None})

    def reading(self, text_bytes: int) -> Reading:
        found = self._found
        common: dict[str, Any] = {
            "model": found.model,
            "service_tier": tier_of(found.usage),
            "answer_id": found.answer_id,
            "items": tuple(found.items.values()),
            "error": found.error,
            "output_bytes_estimate": text_bytes,
            "web_searches": searches_of(found.usage),
            "region": region_of(found.usage),
        }
        if not found.terminal:
            return Reading(**unfinished(found, tokens_of(found.usage), text_bytes), **common)
        tokens, shares = split_by_model(found.usage, tokens_of, asked=self._asked or found.model, answered=found.model)
        return Reading(tokens=tokens, complete=True, shares=shares, cost_usd=reported_cost(found.usage), **common)


class _Written(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: Tokens = None
    ephemeral_1h_input_tokens: Tokens = None


class _Details(msgspec.Struct, gc=False):
    thinking_tokens: Tokens = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Tokens = None
    cache_creation_input_tokens: Tokens = None
    cache_read_input_tokens: Tokens = None
    output_tokens: Tokens = None
    cache_creation: _Written | None = None
    output_tokens_details: _Details | None = None


class _UsualUsage(_Usage, gc=False):
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: None = None
    server_tool_use: None = None
    cost: None = None
    cost_in_usd_ticks: None = None


class _UsualMessage(msgspec.Struct, gc=False):
    usage: _UsualUsage
    model: str
    id: str = ""
    error: None = None
    container: None = None


_USUAL = msgspec.json.Decoder(_UsualMessage)


def tokens_of(usage: Json) -> TokenCounts:
    """Return one usage object in our meaning: input with its cached parts, iterations left aside."""
    return _counts(typed(usage, _Usage))


def _counts(said: _Usage) -> TokenCounts:
    split = said.cache_creation or _NO_SPLIT
    written_1h = split.ephemeral_1h_input_tokens or 0
    written = said.cache_creation_input_tokens
    if written is None:
        written = written_1h + (split.ephemeral_5m_input_tokens or 0)
    split_total = written_1h + (split.ephemeral_5m_input_tokens or 0)
    if written > split_total > 0:
        # A later total may be larger than the split that came before it: the rest is of the same kinds.
        written_1h = written * written_1h // split_total
    # It may be smaller too; the total is what counts.
    written_1h = min(written_1h, written)
    read = said.cache_read_input_tokens or 0
    details = said.output_tokens_details
    return TokenCounts(
        input_tokens=(said.input_tokens or 0) + written + read,
        cached_input_tokens=read,
        cache_write_5m_tokens=written - written_1h,
        cache_write_1h_tokens=written_1h,
        output_tokens=said.output_tokens or 0,
        reasoning_tokens=(details and details.thinking_tokens) or 0,
    )


_NO_SPLIT = _Written()


def _without_input(usage: Json) -> Json:
    """Leave out the input side, which a last delta may repeat as zeros: the start's numbers stay."""
    return {name: value for name, value in usage.items() if name not in _INPUT}


_INPUT = frozenset({
    "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation",
})  # fmt: skip


def searches_of(usage: Json) -> int:
    """Return how many web searches the provider made, which it bills by the search."""
    return count_of(section(usage, "server_tool_use"), "web_search_requests")


def tier_of(usage: Json) -> str:
    """Return the tier as served: fast mode where `speed` says so, else `service_tier`."""
    return "fast" if usage.get("speed") == "fast" else name_of(usage, "service_tier")
