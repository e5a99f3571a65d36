"""Clients that keep a Room Proxy busy and take down what became of every request."""

import http.client
import json
import random
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

MESSAGES = [{"role": "user", "content": "ping"}]
REQUESTS = (
    ("/rooms/load/openai/v1/responses", {"model": "gpt-5.4", "input": "ping", "stream": True}),
    ("/rooms/load/openai/v1/responses", {"model": "gpt-5.4", "input": "ping"}),
    ("/rooms/load/openai/v1/chat/completions", {"model": "gpt-5.4", "messages": MESSAGES}),
    (
        "/rooms/load/anthropic/v1/messages",
        {"model": "claude-sonnet-4-6", "max_tokens": 9, "messages": MESSAGES, "stream": True},
    ),
)


@dataclass(frozen=True)
class Failure:
    """A request without a whole answer: its X-Test-Id, when it began (`time.monotonic`), what went wrong."""

    test_id: str
    began: float
    reason: str


@dataclass
class Client(threading.Thread):
    """Sends one request after the other over a connection that it keeps; `complete` are the ids of whole answers."""

    number: int
    port: int
    tls: ssl.SSLContext
    token: str
    pause_s: float
    done: threading.Event
    complete: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self._random = random.Random(self.number)
        self._count = 0

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        while not self.done.is_set():
            connection = http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=60)
            try:
                while self._request(connection) and not self.done.wait(self._random.uniform(0, 2 * self.pause_s)):
                    pass
            finally:
                connection.close()

    def _request(self, connection: http.client.HTTPSConnection) -> bool:
        """Send one; False where the connection is of no use any more."""
        self._count += 1
        test_id, began = f"{self.number}-{self._count}", time.monotonic()
        path, body = self._random.choice(REQUESTS)
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Meshagent-Session": f"session-{self._random.randrange(100)}",
            "Content-Type": "application/json",
            "X-Test-Id": test_id,
        }
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()  # raises IncompleteRead where the end is missing
        except (OSError, http.client.HTTPException) as problem:
            self.failures.append(Failure(test_id, began, repr(problem)))
            return False
        if answer.status == http.HTTPStatus.OK:
            self.complete.append(answer.headers["Meshproxy-Request-Id"])
        else:
            self.failures.append(Failure(test_id, began, f"{answer.status} {content[:300]!r}"))
        return True


class Load:
    """Some dozens of clients, from `start` to `stop`."""

    def __init__(self, clients: int, port: int, tls: ssl.SSLContext, token: str, *, pause_s: float) -> None:
        self._done = threading.Event()
        self._clients = [Client(number, port, tls, token, pause_s, self._done) for number in range(clients)]

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def stop(self) -> None:
        """Let every client end its last request."""
        self._done.set()
        for client in self._clients:
            client.join()

    @property
    def complete(self) -> Sequence[str]:
        return [identifier for client in self._clients for identifier in client.complete]

    @property
    def failures(self) -> Sequence[Failure]:
        return [failure for client in self._clients for failure in client.failures]
