"""A provider that answers with what would harm a client, the proxy, or whoever reads its records."""

import json
from pathlib import Path

import pytest

from meshproxy_cli.store.events import Outcome
from proxy.gateway_server import Bench, plain, request
from proxy.scripted_exchanges import ANSWER, Answers, chunk, play

HANDSHAKE = ("Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13")
LEADING = ("Location: http://elsewhere/", "Refresh: 0;url=http://elsewhere/", "Content-Location: http://elsewhere/")


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308, 399])
@pytest.mark.parametrize(
    ("path", "shape"),
    [("/openai/v1/responses", {"error"}), ("/anthropic/v1/messages", {"type", "error", "request_id"})],
)
def test_a_redirect_becomes_502(tmp_path: Path, status: int, path: str, shape: set[str]) -> None:
    served = Answers(plain(b"", f"{status} Over There", *LEADING))

    async def test(running: Bench) -> None:
        answer = await running.ask(request(path=path))
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"elsewhere" not in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2]).keys() == shape
        assert (await running.event()).outcome is Outcome.PROVIDER_ERROR

    play(tmp_path, served, test, anthropic=True)
    assert len(served.asked) == 1


def test_a_redirect_of_a_websocket_becomes_502(tmp_path: Path) -> None:
    served = Answers(plain(b"", "307 Over There", *LEADING))

    async def test(running: Bench) -> None:
        answer = await running.ask(request(b"", *HANDSHAKE, method="GET"))
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"elsewhere" not in answer

    play(tmp_path, served, test)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "401 No", "426 Upgrade", "503 Away"])
def test_nothing_leads_elsewhere(tmp_path: Path, status: str) -> None:
    async def test(running: Bench) -> None:
        answer = await running.ask(request())
        assert answer.startswith(b"HTTP/1.1 " + status.encode())
        assert b"elsewhere" not in answer

    play(tmp_path, Answers(plain(ANSWER, status, *LEADING, 'Alt-Svc: h3="elsewhere:443"')), test)


def test_nothing_in_a_trailer_leads_elsewhere(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"".join(line.encode() + b"\r\n" for line in LEADING)

    async def test(running: Bench) -> None:
        answer = await running.ask(request())
        assert b"x-sum: 1\r\n" in answer
        assert b"elsewhere" not in answer

    play(tmp_path, Answers(head + chunk(ANSWER) + b"0\r\n" + trailers + b"x-sum: 1\r\n\r\n"), test)


def test_a_flood_of_interim_answers_is_ended(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        assert (await running.ask(request())).startswith(b"HTTP/1.1 502 ")

    play(tmp_path, Answers(b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000 + plain(ANSWER)), test)


def test_a_head_that_no_load_balancer_takes_becomes_502(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        answer = await running.ask(request())
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert len(answer) < 8192
        assert (await running.event()).outcome is Outcome.PROVIDER_ERROR

    play(tmp_path, Answers(plain(ANSWER, "200 OK", *(f"X-{number}: {'x' * 2000}" for number in range(20)))), test)


@pytest.mark.parametrize("length", ["Content-Length: 5", "Content-Length: 0", "X-None: 1"])
def test_204_has_no_length(tmp_path: Path, length: str) -> None:
    async def test(running: Bench) -> None:
        answer = await running.ask(request())
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert b"content-length" not in answer.lower()
        assert answer.endswith(b"\r\n\r\n")

    play(tmp_path, Answers(f"HTTP/1.1 204 No Content\r\n{length}\r\n\r\n".encode()), test)


def test_names_are_cut_before_they_are_stored(tmp_path: Path) -> None:
    long = "n\x1b[2J\n" * 1_000_000
    body = json.dumps(
        {"id": long, "model": long, "service_tier": long, "usage": {"input_tokens": 1, "output_tokens": 2}}
    )
    served = Answers(plain(body.encode(), "200 OK", "X-Request-Id: " + "r\x80" * 2000))

    def size() -> int:
        return sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())

    async def test(running: Bench) -> None:
        asked = json.dumps({"model": long[:900]}).encode()  # as long as a model's name in a request may be
        assert (await running.ask(request(asked))).startswith(b"HTTP/1.1 200 ")
        event = await running.event()
        names = (event.model_requested, event.model_served, event.service_tier, event.provider_request_id, event.error)
        assert event.model_requested.startswith("n[2Jn[2J")
        assert all(len(name) <= 200 and name.isprintable() for name in names)
        assert size() < 10_000

    play(tmp_path, served, test)


@pytest.mark.parametrize("path", ["client_secrets", "sessions", "transcription_sessions"])
def test_a_provider_s_credential_is_handed_out_where_the_room_allows_it_only(tmp_path: Path, path: str) -> None:
    served = Answers(plain(b'{"value":"ek_1"}'))

    async def test(running: Bench) -> None:
        refused = await running.ask(request(path=f"/openai/v1/realtime/{path}"))
        assert refused.startswith(b"HTTP/1.1 403 ")
        assert b"client_secrets_not_allowed" in refused
        allowed = await running.ask(request(path=f"/openai/v1/realtime/{path}", room="voice"))
        assert allowed.startswith(b"HTTP/1.1 200 ")

    play(tmp_path, served, test, more='[rooms]\nclient_secrets=["voice"]')
    assert len(served.asked) == 1
