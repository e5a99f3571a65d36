"""Usage on websockets: one reading for each turn of a connection to `/v1/responses` or `/v1/realtime`."""

import re

from meshproxy_cli.proxy.usage.openai import OpenAIDialect
from meshproxy_cli.proxy.usage.reading import Reading

_TYPE = re.compile(rb'"type"\s*:\s*"([a-z_.]+)"')
_STARTS = b'"response.created"'
_ENDS = tuple(
    b'"' + name + b'"'
    for name in (
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
        b"response.done",
        b"conversation.item.input_audio_transcription.completed",
        b"error",
    )
)


class TurnMeter:
    """Watches the provider's messages on one websocket."""

    def __init__(self) -> None:
        self._turn: OpenAIDialect | None = None
        self._text_bytes = 0

    @property
    def open(self) -> bool:
        """Whether a turn has begun and not ended."""
        return self._turn is not None

    def feed(self, message: bytes) -> Reading | None:
        """Take in one whole message of the provider; return the turn's reading where it ends one."""
        if any(end in message for end in _ENDS):
            dialect = OpenAIDialect()
            dialect.read_event(message)
            reading = dialect.reading(self._text_bytes)
            if reading.complete or reading.error:
                self._turn, self._text_bytes = None, 0
                return reading
        if _STARTS in message:
            self._turn = OpenAIDialect()
            self._turn.read_event(message)
        elif self._turn is not None:
            self._text_bytes += sum(map(len, self._turn.text.findall(message)))
        return None

    def finish(self) -> Reading | None:
        """Return the estimate for a turn that the end of the connection broke off, if there is one."""
        turn, self._turn = self._turn, None
        return turn.reading(self._text_bytes) if turn is not None else None
