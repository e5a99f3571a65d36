"""What the echo provider was asked and what it says, apart from any wire format."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_BYTES_PER_TOKEN = 4
_SHOWN = 400


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request: its document, whether a stream is wanted, and the last thing that the user said."""

    document: dict[str, Any]
    stream: bool
    model: str
    text: str
    input_tokens: int

    @classmethod
    def read(cls, path: str, body: bytes) -> "Prompt":
        """Read a body; what is no JSON object is an empty document."""
        try:
            document = json.loads(body) if body else {}
        except ValueError:
            document = {}
        if not isinstance(document, dict):
            document = {}
        del path
        said = document.get("messages", document.get("input", document.get("prompt", "")))
        return cls(
            document=document,
            stream=document.get("stream") is True,
            model=str(document.get("model", "echo")),
            text=_last_text(said),
            input_tokens=max(1, len(body) // _BYTES_PER_TOKEN),
        )

    def words(self) -> list[str]:
        """Return the answer, in the pieces in which it is streamed."""
        said = self.text if len(self.text) <= _SHOWN else self.text[:_SHOWN] + "…"
        answer = (
            "This is meshproxy's echo provider, not a model: no provider key is configured on this server. "
            f"You said: {said}"
        )
        return [word if place == 0 else f" {word}" for place, word in enumerate(answer.split(" "))]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a JSON document (or bytes of `kind`), and the events of its stream where it can be streamed."""

    body: Any
    status: int = 200
    kind: str = "application/json"
    events: Sequence[bytes] | None = field(default=None)


def new_id(prefix: str) -> str:
    """Return an id such as the provider would give."""
    return f"{prefix}{uuid.uuid4().hex}"


def event(data: Any, name: str = "") -> bytes:  # noqa: ANN401 (any JSON value)
    """Return one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()


def _last_text(said: Any) -> str:  # noqa: ANN401 (whatever the client put there)
    """Return the text of the last user's message in any provider's form."""
    if isinstance(said, str):
        return said
    if isinstance(said, dict):
        return _last_text(said.get("text", said.get("content", "")))
    if isinstance(said, list):
        texts = [text for item in said if _from_user(item) and (text := _last_text(item))]
        return texts[-1] if texts else ""
    return ""


def _from_user(item: Any) -> bool:  # noqa: ANN401 (whatever the client put there)
    return not isinstance(item, dict) or item.get("role", "user") == "user"
