"""Usage in OpenAI's answers: Responses, Chat Completions, embeddings, audio, images and realtime.

The endpoints name the same numbers differently (`prompt_tokens`, `input_tokens`; `…_tokens_details`,
`…_token_details`); their meaning is the same, so one reader takes them all.
"""

import dataclasses
import re
from typing import Any

import msgspec

from meshproxy_cli.proxy.usage.dialect import (
    BLANK_LINE,
    TEXT,
    Findings,
    error_code,
    no_fast_path,
    parse,
    parse_clipped,
    parse_outline,
    unfinished,
)
from meshproxy_cli.proxy.usage.items import OutputItem, note_item, note_output, output_items, read_item
from meshproxy_cli.proxy.usage.numbers import (
    Json,
    Tokens,
    are_names,
    count_of,
    name_of,
    reported_cost,
    section,
    typed,
)
from meshproxy_cli.proxy.usage.reading import ModelShare, Reading
from meshproxy_cli.store.events import TokenCounts

_IMAGE_MODEL = "gpt-image-2"
_ENDS = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "response.done",
        "transcript.text.done",
        "speech.audio.done",
        "image_generation.completed",
        "image_edit.completed",
        "conversation.item.input_audio_transcription.completed",
    }
)


class OpenAIDialect:
    """Collects the numbers of one answer of OpenAI's API."""

    plain = re.compile(
        rb'event: [a-z_.]++\r?\ndata: \{"type": ?"[a-z_.]{1,80}\.delta", ?'
        rb'(?:"(?!delta")[a-z_]++": ?(?:"[^"\\\n]*+"|\d++), ?)*+"delta": ?"(' + TEXT + rb')"[^\r\n]*+' + BLANK_LINE
    )
    text = re.compile(rb'"delta"\s*+:\s*+"(' + TEXT + rb')"')
    markers = re.compile(rb'"usage"|"error"|"response"|"item"')

    def __init__(self) -> None:
        self._found = Findings()

    @property
    def ended(self) -> bool:
        return self._found.ended or bool(self._found.error)

    def read_event(self, data: bytes) -> None:
        self._take_event(parse(data))

    @staticmethod
    def parse_fast(data: bytes) -> Reading | None:
        try:
            answer = _USUAL.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        usage, tier = answer.usage, answer.service_tier or ""
        told = usage.input_tokens is not None or usage.prompt_tokens is not None
        if not told or usage.seconds is not None or not are_names(answer.id, answer.model, tier):
            return None
        return Reading(
            tokens=_counts(usage),
            model=answer.model,
            service_tier=tier,
            answer_id=answer.id,
            items=output_items(answer.output) if answer.output else (),
            complete=True,
        )

    def read_body(self, data: bytes) -> None:
        body = parse_outline(data)
        self._take_answer(body or {})
        self._found.ended = body is not None

    def read_clipped(self, data: bytes) -> None:
        document = parse_clipped(data)
        self._take_answer(document)
        self._found.ended = True

    def _take_event(self, event: Json) -> None:
        kind = event.get("type")
        if kind == "error":
            self._found.error = name_of(event, "code") or error_code(event) or "error"
            return
        if item := section(event, "item"):
            note_item(self._found.items, read_item(item))
            return
        self._take_answer(section(event, "response") or event)
        if kind in _ENDS:
            self._found.ended = True

    def _take_answer(self, answer: Json) -> None:
        found = self._found
        found.model = name_of(answer, "model") or found.model
        found.service_tier = name_of(answer, "service_tier") or found.service_tier
        found.answer_id = name_of(answer, "id") or found.answer_id
        found.error = error_code(answer) or found.error
        note_output(found.items, answer.get("output"))
        # Groq has the usage of a stream in a member of its own.
        if usage := section(answer, "usage") or section(section(answer, "x_groq"), "usage"):
            found.usage = dict(usage)
            found.terminal = True
        if tools := section(answer, "tool_usage"):
            found.tools = tools
            found.image_model = _image_model(answer) or found.image_model

    def reading(self, text_bytes: int) -> Reading:
        found = self._found
        common: dict[str, Any] = {
            "model": found.model,
            "service_tier": found.service_tier,
            "answer_id": found.answer_id,
            "items": tuple(found.items.values()),
            "error": found.error,
            "output_bytes_estimate": text_bytes,
            "web_searches": count_of(section(found.tools, "web_search"), "num_requests"),
            "shares": self._shares(),
        }
        if found.terminal:
            return Reading(
                tokens=self.tokens(found.usage),
                complete=True,
                audio_seconds=seconds_of(found.usage),
                cost_usd=reported_cost(found.usage),
                **common,
            )
        return Reading(**unfinished(found, self.tokens(found.usage), text_bytes), **common)

    def _shares(self) -> tuple[ModelShare, ...]:
        """Return what an image model did for the answer, at its own rates."""
        found = self._found
        counts = ImageDialect.tokens(section(found.tools, "image_gen"))
        if not (counts.input_tokens or counts.output_tokens):
            return ()
        return (ModelShare(model=found.image_model or _IMAGE_MODEL, tokens=counts, service_tier=""),)

    @staticmethod
    def tokens(usage: Json) -> TokenCounts:
        """Return what a usage object of this endpoint says, in our meaning."""
        return tokens_of(usage)


class ChatDialect(OpenAIDialect):
    """Chat Completions: every chunk has the model, one near the end the usage."""

    plain = re.compile(
        rb'data: \{(?:"(?!choices")[a-z_]++": ?(?:"[^"\\\n]*+"|\d++|null), ?)*+'
        rb'"choices": ?\[\{"index": ?\d++, ?"delta": ?\{(?:"content": ?"(' + TEXT + rb')"|"tool_calls": ?'
        rb'\[\{"index": ?\d++, ?"function": ?\{"arguments": ?"(' + TEXT + rb')"\}\}\])\}(?:, ?"[a-z_]++": ?null)*+\}\]'
        rb'(?:, ?"[a-z_]++": ?(?:"[^"\\\n]*+"|null))*+\}' + BLANK_LINE
    )
    text = re.compile(rb'"(?:content|arguments|refusal|reasoning_content|reasoning)"\s*+:\s*+"(' + TEXT + rb')"')
    markers = re.compile(rb'"usage"\s*+:\s*+\{|"error"|\[DONE\]')

    def read_event(self, data: bytes) -> None:
        found = self._found
        if data.strip() == b"[DONE]":
            found.ended, found.terminal = True, bool(found.usage)
            return
        chunk = parse(data)
        self._take_answer(chunk)
        choices = [choice for choice in _list(chunk, "choices") if isinstance(choice, dict)]
        for choice in choices:  # where Moonshot has it
            found.usage = dict(section(choice, "usage")) or found.usage
        # Some servers tell the usage so far in every chunk: the last one's is what counts.
        found.terminal = bool(found.usage) and not any(choice.get("finish_reason") is None for choice in choices)


class ImageDialect(OpenAIDialect):
    """Images: what is written is an image, where no details say otherwise."""

    @staticmethod
    def parse_fast(data: bytes) -> Reading | None:
        return no_fast_path(data)

    @staticmethod
    def tokens(usage: Json) -> TokenCounts:
        counts = tokens_of(usage)
        if section(usage, "output_tokens_details"):
            return counts
        return dataclasses.replace(counts, output_image_tokens=counts.output_tokens)


class SpeechDialect(OpenAIDialect):
    """Speech: what is written is audio, where no details say otherwise."""

    @staticmethod
    def parse_fast(data: bytes) -> Reading | None:
        return no_fast_path(data)

    @staticmethod
    def tokens(usage: Json) -> TokenCounts:
        counts = tokens_of(usage)
        if section(usage, "output_tokens_details", "output_token_details"):
            return counts
        return dataclasses.replace(counts, output_audio_tokens=counts.output_tokens)


class _Cached(msgspec.Struct, gc=False):
    audio_tokens: Tokens = None
    image_tokens: Tokens = None


class _Details(msgspec.Struct, gc=False):
    cached_tokens: Tokens = None
    cache_write_tokens: Tokens = None
    reasoning_tokens: Tokens = None
    audio_tokens: Tokens = None
    image_tokens: Tokens = None
    cached_tokens_details: _Cached | None = None


class _Usage(msgspec.Struct, gc=False):
    input_tokens: Tokens = None
    prompt_tokens: Tokens = None
    output_tokens: Tokens = None
    completion_tokens: Tokens = None
    input_tokens_details: _Details | None = None
    prompt_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_token_details: _Details | None = None
    total_tokens: Tokens = None
    prompt_cache_hit_tokens: Tokens = None  # DeepSeek
    cached_tokens: Tokens = None  # Moonshot, Together
    num_cached_tokens: Tokens = None
    seconds: float | None = None


class _UsualUsage(_Usage, gc=False):
    cost: None = None
    cost_in_usd_ticks: None = None


class _UsualAnswer(msgspec.Struct, gc=False):
    usage: _UsualUsage
    id: str = ""
    model: str = ""
    service_tier: str | None = None
    error: None = None
    output: list[OutputItem | str | int | float | None] = msgspec.field(default_factory=list)
    tool_usage: None = None


_USUAL = msgspec.json.Decoder(_UsualAnswer)
_NO_DETAILS = _Details()
_NOT_CACHED = _Cached()


def tokens_of(usage: Json) -> TokenCounts:
    """Return OpenAI's usage in our meaning; its input already includes the cached part."""
    return _counts(typed(usage, _Usage))


def _counts(said: _Usage) -> TokenCounts:
    read = said.input_tokens_details or said.prompt_tokens_details or said.input_token_details or _NO_DETAILS
    written = said.output_tokens_details or said.completion_tokens_details or said.output_token_details or _NO_DETAILS
    cached = read.cached_tokens_details or _NOT_CACHED
    inward = _first(said.input_tokens, said.prompt_tokens)
    outward, reasoned = _first(said.output_tokens, said.completion_tokens), written.reasoning_tokens or 0
    if outward or reasoned:
        # xAI leaves reasoning out of what it calls the completion, and Gemini tells it in the total alone.
        more = (said.total_tokens or 0) - inward - outward
        if more > 0:
            outward, reasoned = outward + more, reasoned or more
        elif reasoned > outward:  # a part is never larger than the whole: here it comes on top
            outward += reasoned
    return TokenCounts(
        input_tokens=inward,
        cached_input_tokens=read.cached_tokens
        or said.prompt_cache_hit_tokens
        or said.cached_tokens
        or said.num_cached_tokens
        or 0,
        cache_write_5m_tokens=read.cache_write_tokens or 0,
        output_tokens=outward,
        reasoning_tokens=reasoned,
        input_audio_tokens=read.audio_tokens or 0,
        output_audio_tokens=written.audio_tokens or 0,
        input_image_tokens=read.image_tokens or 0,
        output_image_tokens=written.image_tokens or 0,
        cached_audio_tokens=cached.audio_tokens or 0,
        cached_image_tokens=cached.image_tokens or 0,
    )


def _first(one: int | None, other: int | None) -> int:
    return (other or 0) if one is None else one


def _image_model(answer: Json) -> str:
    """Return the model that a Responses answer's image tool was asked to use, "" if the provider chose it."""
    tools = [tool for tool in _list(answer, "tools") if isinstance(tool, dict)]
    return next((name_of(tool, "model") for tool in tools if tool.get("type") == "image_generation"), "")


def _list(data: Json, name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else []


def seconds_of(usage: Json) -> float:
    """Return the length of audio read, where that is what is billed."""
    seconds = usage.get("seconds")
    if isinstance(seconds, bool):
        return 0.0
    return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 10**7 else 0.0
