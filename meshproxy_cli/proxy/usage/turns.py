"""Usage on websockets: one reading for each turn of a connection to `/v1/responses` or `/v1/realtime`."""

import re

import msgspec

from meshproxy_cli.proxy.usage.dialect import parse
from meshproxy_cli.proxy.usage.numbers import Json, name_of, section
from meshproxy_cli.proxy.usage.openai import OpenAIDialect
from meshproxy_cli.proxy.usage.reading import Reading

_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
_NEWS = re.compile(
    rb'"(?:response\.(?:output_item\.(?:added|done)|created|completed|incomplete|failed|cancelled|done)'
    rb"|session\.(?:created|updated)|error"
    rb'|conversation\.item\.input_audio_transcription\.completed)"'
)


class TurnMeter:
    """Watches the provider's messages on one websocket. Never raises.

    On `/v1/realtime` (`realtime`) an error while a response is under way is about something else: that goes on.
    `beside` says of the latest reading that it is no turn's: of a transcription.
    """

    def __init__(self, *, realtime: bool = False) -> None:
        self.beside = False
        self._realtime = realtime
        self._turn: OpenAIDialect | None = None
        self._text_bytes = 0
        self._model = ""  # of the session: realtime's answers don't name theirs
        self._transcriber = ""

    @property
    def open(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._turn is not None

    def feed(self, message: bytes) -> Reading | None:
        """Take in one whole message of the provider (text as UTF-8); return the turn's reading where it ends one."""
        if _NEWS.search(message) is None:
            if self._turn is not None:
                self._text_bytes += sum(map(len, OpenAIDialect.text.findall(message)))
            return None
        event = parse(message)
        match event.get("type"):
            case "session.created" | "session.updated":
                self._learn_session(section(event, "session"))
            case "response.created":
                self._turn, self._text_bytes = OpenAIDialect(), 0
                self._turn.read_event(message)
            case "response.output_item.added" | "response.output_item.done":
                if self._turn is not None and not self._realtime:
                    self._turn.read_event(message)
            case "error" if self._realtime and self.open:
                return None
            case (
                "error"
                | "response.completed"
                | "response.incomplete"
                | "response.failed"
                | "response.done"
                | ("response.cancelled")
            ):
                return self._end(message)
            case kind if kind == _TRANSCRIBED:
                self.beside = True
                return self._read(OpenAIDialect(), message, 0, self._transcriber)
        return None

    def finish(self) -> Reading | None:
        """Return the estimate for a turn that the end of the connection broke off, if there is one."""
        turn, self._turn = self._turn, None
        return None if turn is None else _named(turn.reading(self._text_bytes), self._model)

    def _end(self, message: bytes) -> Reading:
        turn, text_bytes = self._turn or OpenAIDialect(), self._text_bytes
        self._turn, self._text_bytes, self.beside = None, 0, False
        return self._read(turn, message, text_bytes, self._model)

    @staticmethod
    def _read(turn: OpenAIDialect, message: bytes, text_bytes: int, model: str) -> Reading:
        turn.read_event(message)
        return _named(turn.reading(text_bytes), model)

    def _learn_session(self, session: Json) -> None:
        self._model = name_of(session, "model") or self._model
        newer = section(section(section(session, "audio"), "input"), "transcription")
        older = section(session, "input_audio_transcription")
        self._transcriber = name_of(newer, "model") or name_of(older, "model") or self._transcriber


def _named(reading: Reading, model: str) -> Reading:
    return reading if reading.model else msgspec.structs.replace(reading, model=model)
