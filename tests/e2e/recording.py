"""What the recording provider remembers, and how its next answers are to go."""

import json
import random
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from e2e.wire import Reported

OPENAI_KEY = "sk-proj-the-providers-own-openai-key"
ANTHROPIC_KEY = "sk-ant-the-providers-own-anthropic-key"
OPENAI_MODELS = ("gpt-5.4", "gpt-5.4-mini", "text-embedding-3-small")
ANTHROPIC_MODELS = ("claude-sonnet-4-6", "claude-haiku-4-5")


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """How the next answers go. Counts are events of a stream; times are seconds."""

    status: int = 200
    error_code: str = "server_error"
    error_message: str = "the provider has a bad day"
    headers: dict[str, str] = field(default_factory=dict)
    fails_after: int | None = None  # an error event in place of the rest
    closes_after: int | None = None  # the connection breaks
    stalls_after: int | None = None  # nothing more until the client goes away or `release` is called
    delay: float = 0.0  # before each event
    text: str | None = None
    served_model: str | None = None
    tokens: dict[str, int] | None = None  # in place of random ones


@dataclass
class Recorded:
    """One request as it came: headers in order and case, the body after transfer decoding, a websocket's messages."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    messages: list[bytes] = field(default_factory=list)
    client_left: threading.Event = field(default_factory=threading.Event)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)

    def all_of(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        return next(iter(self.all_of(name)), None)

    def json(self) -> Any:
        return json.loads(self.body)

    def text(self) -> str:
        """Return everything that was sent, to look for what must not be in it."""
        head = "\r\n".join(f"{name}: {value}" for name, value in self.headers)
        sent = b"\n".join([self.body, *self.messages]).decode("utf-8", "replace")
        return f"{self.method} {self.target}\r\n{head}\r\n\r\n{sent}"


class Recording:
    """The records of one provider; `requests` and `reported` grow in the order of arrival."""

    def __init__(self, seed: int) -> None:
        self.requests: list[Recorded] = []
        self.reported: list[Reported] = []
        self.behavior = Behavior()
        self.release = threading.Event()  # ends every stall and delay
        self._once: deque[Behavior] = deque()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def next(self, *behaviors: Behavior) -> None:
        """Let the next model requests go as given, one each, and then as `behavior` says again."""
        self._once.extend(behaviors)

    def forget(self) -> None:
        """Empty the records."""
        with self._lock:
            self.requests.clear()
            self.reported.clear()

    def record(self, request: Recorded) -> None:
        with self._lock:
            self.requests.append(request)

    def take_behaviour(self) -> Behavior:
        with self._lock:
            return self._once.popleft() if self._once else self.behavior

    def report(self, numbers: Reported) -> None:
        with self._lock:
            self.reported.append(numbers)

    def numbers(self, endpoint: str, model: str, behavior: Behavior) -> Reported:
        """Make up an answer's tokens, different each time and each kind different from the others."""
        if behavior.tokens is not None:
            return Reported(endpoint=endpoint, model=model, **behavior.tokens)
        with self._lock:
            draw = self._random.randint
            cached, reasoning = draw(100, 199), draw(10, 19)
            writes = (draw(20, 29), draw(30, 39)) if endpoint == "/v1/messages" else (0, 0)
            return Reported(
                endpoint=endpoint,
                model=model,
                input_tokens=cached + sum(writes) + draw(1000, 1999),
                cached_input_tokens=cached,
                cache_write_5m_tokens=writes[0],
                cache_write_1h_tokens=writes[1],
                output_tokens=reasoning + draw(40, 90),
                reasoning_tokens=0 if endpoint == "/v1/messages" else reasoning,
            )


def prompt_of(body: dict[str, Any]) -> str:
    """Return the last line that the user wrote, from any of the protocols' request bodies."""
    turns = body.get("input", body.get("messages", ""))
    if isinstance(turns, str):
        return turns.strip().rsplit("\n", 1)[-1]
    users = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    content = users[-1]["content"] if users else ""
    parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    texts = [part for part in parts if part.strip() and not part.lstrip().startswith("<")]
    return texts[-1].strip().rsplit("\n", 1)[-1] if texts else ""
