"""A model provider on loopback that records what it is sent and keeps its own count of the tokens it reports.

It speaks OpenAI's Responses (HTTP and websocket), Chat Completions, embeddings and models, and Anthropic's Messages,
token counting and models. It stands in for the real ones in tests only, with threads: one connection, one thread.
"""

import threading
from typing import Self

from e2e.provider_http import ProviderServer
from e2e.recording import ANTHROPIC_KEY, OPENAI_KEY, Behavior, Recorded, Recording
from e2e.wire import Reported

__all__ = ["ANTHROPIC_KEY", "OPENAI_KEY", "Behavior", "Recorded", "RecordingProvider", "Reported"]


class RecordingProvider(Recording):
    """The provider; it runs for the length of a `with` block."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self._server = ProviderServer(("127.0.0.1", 0), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which `meshproxy serve`, or an agent directly, uses this provider."""
        return {
            "OPENAI_API_KEY": OPENAI_KEY,
            "OPENAI_BASE_URL": f"{self.origin}/v1",
            "ANTHROPIC_API_KEY": ANTHROPIC_KEY,
            "ANTHROPIC_BASE_URL": self.origin,
        }
