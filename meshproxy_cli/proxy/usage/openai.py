"""Usage in OpenAI's answers: Responses, Chat Completions, embeddings, audio, images and realtime.

The endpoints name the same numbers differently (`prompt_tokens`, `input_tokens`; `…_tokens_details`,
`…_token_details`); their meaning is the same, so one reader takes them all.
"""

import dataclasses
import re
from typing import Any

from meshproxy_cli.proxy.usage.dialect import BLANK_LINE, TEXT, Findings, error_code, parse, parse_clipped, unfinished
from meshproxy_cli.proxy.usage.numbers import Json, count, name_of, section
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import TokenCounts

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
        rb'event: [a-z_.]++\r?\ndata: \{"type": ?"[a-z_.]+\.delta", ?'
        rb'(?:"(?!delta")[a-z_]++": ?(?:"[^"\\\n]*+"|\d++), ?)*+"delta": ?"(' + TEXT + rb')"[^\r\n]*+' + BLANK_LINE
    )
    text = re.compile(rb'"delta"\s*:\s*"(' + TEXT + rb')"')
    markers = re.compile(rb'"usage"|"error"|"response"')

    def __init__(self) -> None:
        self._found = Findings()

    def read_event(self, data: bytes) -> None:
        self._take_event(parse(data))

    def read_body(self, data: bytes) -> None:
        body = parse(data)
        self._take_answer(body)
        self._found.ended = bool(body)

    def read_clipped(self, data: bytes) -> None:
        document = parse_clipped(data)
        self._take_answer(document)
        self._found.ended = True

    def _take_event(self, event: Json) -> None:
        kind = event.get("type")
        if kind == "error":
            self._found.error = name_of(event, "code") or error_code(event) or "error"
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
        if usage := section(answer, "usage"):
            found.usage = dict(usage)
            found.terminal = True

    def reading(self, text_bytes: int) -> Reading:
        found = self._found
        common: dict[str, Any] = {
            "model": found.model,
            "service_tier": found.service_tier,
            "answer_id": found.answer_id,
            "error": found.error,
            "output_bytes_estimate": text_bytes,
        }
        if found.terminal:
            return Reading(
                tokens=self.tokens(found.usage), complete=True, audio_seconds=seconds_of(found.usage), **common
            )
        return Reading(**unfinished(found, self.tokens(found.usage), text_bytes), **common)

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
    text = re.compile(rb'"(?:content|arguments|refusal|reasoning_content|reasoning)"\s*:\s*"(' + TEXT + rb')"')
    markers = re.compile(rb'"usage"\s*:\s*\{|"error"|\[DONE\]')

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
    def tokens(usage: Json) -> TokenCounts:
        counts = tokens_of(usage)
        if section(usage, "output_tokens_details"):
            return counts
        return dataclasses.replace(counts, output_image_tokens=counts.output_tokens)


class SpeechDialect(OpenAIDialect):
    """Speech: what is written is audio, where no details say otherwise."""

    @staticmethod
    def tokens(usage: Json) -> TokenCounts:
        counts = tokens_of(usage)
        if section(usage, "output_tokens_details", "output_token_details"):
            return counts
        return dataclasses.replace(counts, output_audio_tokens=counts.output_tokens)


def tokens_of(usage: Json) -> TokenCounts:
    """Return OpenAI's usage in our meaning; its input already includes the cached part."""
    read = section(usage, "input_tokens_details", "prompt_tokens_details", "input_token_details")
    written = section(usage, "output_tokens_details", "completion_tokens_details", "output_token_details")
    cached = section(read, "cached_tokens_details")
    return TokenCounts(
        input_tokens=count(usage, "input_tokens", "prompt_tokens"),
        cached_input_tokens=count(read, "cached_tokens"),
        cache_write_5m_tokens=count(read, "cache_write_tokens"),
        output_tokens=count(usage, "output_tokens", "completion_tokens"),
        reasoning_tokens=count(written, "reasoning_tokens"),
        input_audio_tokens=count(read, "audio_tokens"),
        output_audio_tokens=count(written, "audio_tokens"),
        input_image_tokens=count(read, "image_tokens"),
        output_image_tokens=count(written, "image_tokens"),
        cached_audio_tokens=count(cached, "audio_tokens"),
        cached_image_tokens=count(cached, "image_tokens"),
    )


def _list(data: Json, name: str) -> list[Any]:
    value = data.get(name)
    return value if isinstance(value, list) else []


def seconds_of(usage: Json) -> float:
    """Return the length of audio read, where that is what is billed."""
    seconds = usage.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) and 0 <= seconds < 10**7 else 0.0
