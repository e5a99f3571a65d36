"""A server as it ends, and several workers on one port."""

import http.client
import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from e2e.provider import Behavior, RecordingProvider

PATIENCE_S = 30.0


def headers(proxy: Any, session: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {proxy.token('my-room')}",
        "Meshagent-Session": session,
        "Content-Type": "application/json",
    }


def body(*, stream: bool = False) -> bytes:
    return json.dumps({"model": "gpt-5.4", "input": "hello", "stream": stream}).encode()


def open_stream(proxy: Any, session: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE_S)
    connection.request("POST", "/rooms/my-room/openai/v1/responses", body(stream=True), headers(proxy, session))
    return connection, connection.getresponse()


def wait_until_closed(proxy: Any) -> None:
    """Wait until nobody listens any more."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            proxy.request("GET", "/healthz")
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("it still accepts connections")


def test_a_running_stream_is_finished_before_the_end(
    start_proxy: Callable[..., Any], provider: RecordingProvider
) -> None:
    with start_proxy("--drain", "25") as proxy:
        provider.release.clear()
        provider.next(Behavior(stalls_after=2))
        connection, answer = open_stream(proxy, "s")
        assert answer.readline().startswith(b"event: ")
        proxy.process.send_signal(signal.SIGTERM)
        wait_until_closed(proxy)
        assert proxy.process.poll() is None
        provider.release.set()
        rest = answer.read()
        assert b"response.completed" in rest
        connection.close()
        assert proxy.process.wait(PATIENCE_S) == 0
        provider.release.clear()


def test_a_stream_that_does_not_end_is_cut_at_last(
    start_proxy: Callable[..., Any], provider: RecordingProvider
) -> None:
    with start_proxy("--drain", "0.5") as proxy:
        provider.release.clear()
        provider.next(Behavior(stalls_after=2))
        connection, answer = open_stream(proxy, "s")
        assert answer.readline().startswith(b"event: ")
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(PATIENCE_S) == 0
        connection.close()
        provider.release.set()


def test_workers_share_a_port_and_what_belongs_to_rooms(start_proxy: Callable[..., Any]) -> None:
    with start_proxy("--workers", "2") as proxy:
        fields = headers(proxy, "shared")
        path = "/rooms/my-room/openai/v1/responses"
        first = proxy.request("POST", path, fields, body())
        assert first.status == 200
        follow = json.dumps({"model": "gpt-5.4", "input": "x", "previous_response_id": first.json()["id"]}).encode()
        statuses: list[int] = []

        def ask() -> None:
            statuses.append(proxy.request("POST", path, fields, follow).status)

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses == [200] * 16  # whichever worker it was
        assert proxy.usage("--session", "shared", requests=17)["totals"]["requests"] == 17
        proxy.cli("api-key", "revoke", proxy.key.id, "--yes")
        deadline = time.monotonic() + PATIENCE_S
        while any(proxy.request("POST", path, fields, body()).status != 401 for _ in range(8)):
            assert time.monotonic() < deadline, "a worker still knows the key"
