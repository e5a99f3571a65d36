"""The nginx configuration of `deploy/`, in front of a real Room Proxy."""

import base64
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from e2e.provider import Behavior, RecordingProvider
from fixtures.nginx import Nginx, running_nginx
from fixtures.proxies import Answer, RoomProxy

pytestmark = pytest.mark.e2e

PATH = "/rooms/team%2Froom%201/openai/v1/responses"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def token(room_proxy: RoomProxy) -> str:
    return room_proxy.token("team/room 1")


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory, room_proxy: RoomProxy) -> Iterator[Nginx]:
    """Run nginx in front of a Room Proxy, and of a machine that is down."""
    with socket.socket() as down:
        down.bind(("127.0.0.1", 0))  # taken, and nobody listens
        ports = [urlsplit(room_proxy.url).port or 0, down.getsockname()[1]]
        with running_nginx(tmp_path_factory.mktemp("nginx"), ports) as running:
            yield running


def headers_of(token: str, session: str = "nginx") -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Meshagent-Session": session, "Content-Type": "application/json"}


def post(nginx: Nginx, token: str, body: Any, *, session: str = "nginx", **headers: str) -> Answer:
    """Send one request; a body that is no bytes goes as chunks."""
    connection = http.client.HTTPSConnection("localhost", nginx.port, context=nginx.tls(), timeout=60)
    try:
        connection.request("POST", PATH, body, headers_of(token, session) | headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def large(size: int) -> bytes:
    return b'{"model":"gpt-5.4","input":"%b ping"}' % (b"x" * size)


def test_a_stream_passes_piece_by_piece(nginx: Nginx, provider: RecordingProvider, token: str) -> None:
    provider.next(Behavior(stalls_after=3))
    connection = http.client.HTTPSConnection("localhost", nginx.port, context=nginx.tls(), timeout=30)
    try:
        body = json.dumps({"model": "gpt-5.4", "input": "ping", "stream": True})
        connection.request("POST", PATH, body, headers_of(token))
        answer = connection.getresponse()
        assert answer.readline() == b"event: response.created\n"  # and the provider holds back the rest
        provider.release.set()
        assert b"response.completed" in answer.read()
    finally:
        provider.release.clear()
        connection.close()


def test_large_bodies_reach_the_provider_whole(nginx: Nginx, provider: RecordingProvider, token: str) -> None:
    body = large(20 * MIB)
    pieces = (body[at : at + 100_000] for at in range(0, len(body), 100_000))
    for sent in (body, pieces):
        provider.forget()
        assert post(nginx, token, sent).status == 200
        assert hashlib.sha256(provider.requests[-1].body).digest() == hashlib.sha256(body).digest()


def test_what_is_too_large_is_refused_in_the_providers_words(nginx: Nginx, token: str) -> None:
    answer = post(nginx, token, large(33 * MIB))
    assert answer.status == 413
    assert "Room Proxy" in answer.json()["error"]["message"]


def test_a_websocket_turn(nginx: Nginx, provider: RecordingProvider, token: str) -> None:
    provider.forget()
    url = nginx.url.replace("https:", "wss:") + PATH
    headers = {"Authorization": f"Bearer {token}", "Meshagent-Session": "nginx"}
    with connect(url, additional_headers=headers, ssl=nginx.tls(), proxy=None, open_timeout=30) as socket_:
        socket_.send(json.dumps({"type": "response.create", "model": "gpt-5.4", "input": "ping"}))
        events = []
        while not events or events[-1]["type"] != "response.completed":
            events.append(json.loads(socket_.recv(timeout=30)))
    [reported] = provider.reported
    assert events[-1]["response"]["usage"]["input_tokens"] == reported.input_tokens


def test_headers_pass_as_they_came(nginx: Nginx, provider: RecordingProvider, token: str) -> None:
    provider.forget()
    provider.next(Behavior(headers={"X-Accel-Redirect": "/elsewhere", "X-Codex-Turn-State": "opaque"}))
    body = b'{"model":"gpt-5.4","input":"ping","stream":true}'
    answer = post(nginx, token, body, session_id="thread-1", **{"X-Codex-Turn-State": "a", "X-Long": "x" * 30_000})
    assert (answer.status, answer.headers["X-Codex-Turn-State"]) == (200, "opaque")
    [sent] = provider.requests
    assert (sent.header("session_id"), sent.header("x-codex-turn-state")) == ("thread-1", "a")
    assert len(sent.header("x-long") or "") == 30_000
    assert not {"connection", "x-forwarded-for", "x-real-ip"} & {name.lower() for name, _ in sent.headers}


def test_a_machine_that_is_down_is_passed_over(nginx: Nginx, token: str) -> None:
    answers = [post(nginx, token, large(1), session=f"session-{number}") for number in range(20)]
    assert {answer.status for answer in answers} == {200}
    tried = [line for line in nginx.log.read_text().splitlines() if ", " in line]
    assert tried, "no request met the machine that is down: the test shows nothing"


def test_http_2(nginx: Nginx, token: str) -> None:
    """Node's own client, with which half of the agents are written."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed: apt-get install nodejs")
    script = """
        const client = require('http2').connect(process.env.URL, {ca: require('fs').readFileSync(process.env.CA)});
        const stream = client.request({
            ':method': 'POST', ':path': process.env.TARGET, 'content-type': 'application/json',
            authorization: 'Bearer ' + process.env.TOKEN, 'meshagent-session': 'http2'});
        stream.on('response', head => console.log(head[':status'])).setEncoding('utf8');
        stream.on('data', data => process.stdout.write(data)).on('end', () => client.close());
        stream.end(JSON.stringify({model: 'gpt-5.4', input: 'ping', stream: true}));
    """
    environ = os.environ | {"URL": nginx.url, "CA": str(nginx.certificate), "TARGET": PATH, "TOKEN": token}
    done = subprocess.run([node, "-e", script], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("200\n"), done.stderr
    assert "response.completed" in done.stdout


class Breaking:
    """Takes whole requests and hangs up without an answer; counts them."""

    def __init__(self) -> None:
        self.requests = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @contextmanager
    def running(self) -> Iterator["Breaking"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"ping" not in data and (more := connection.recv(65536)):
                    data += more
                self.requests += b"ping" in data


def test_what_was_sent_is_never_sent_again(tmp_path: Path, token: str) -> None:
    with Breaking().running() as one, Breaking().running() as other:
        with running_nginx(tmp_path, [one.port, other.port]) as nginx:
            answer = post(nginx, token, large(1))
        assert one.requests + other.requests == 1
    assert answer.status == 502
    assert answer.headers["Content-Type"] == "application/json"
    assert "load balancer" in answer.json()["error"]["message"]


def get(nginx: Nginx, path: str) -> Answer:
    connection = http.client.HTTPSConnection("localhost", nginx.port, context=nginx.tls(), timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def test_a_get_that_was_sent_is_not_sent_again_and_counts_against_no_server(
    tmp_path: Path, room_proxy: RoomProxy
) -> None:
    good = urlsplit(room_proxy.url).port or 0
    with Breaking().running() as one, running_nginx(tmp_path, [one.port, one.port, good]) as nginx:
        for number in range(1, 25):
            before = one.requests
            answer = get(nginx, "/healthz?ping")
            assert one.requests - before <= 1
            assert answer.status == (502 if one.requests > before else 200), number


def test_a_get_passes_over_machines_that_are_down(tmp_path: Path, room_proxy: RoomProxy) -> None:
    good = urlsplit(room_proxy.url).port or 0
    with socket.socket() as down, socket.socket() as other:
        ports = []
        for one in (down, other):
            one.bind(("127.0.0.1", 0))
            ports.append(one.getsockname()[1])
        with running_nginx(tmp_path, [*ports, good]) as nginx:
            assert {get(nginx, "/healthz").status for _ in range(10)} == {200}


def test_no_attacker_takes_the_servers_from_others(nginx: Nginx, token: str) -> None:
    huge = base64.urlsafe_b64encode(b'{"exp":' + b"9" * 400 + b"}").decode().rstrip("=")
    forged = f"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{huge}.AAAA"
    for number in range(10):
        assert get(nginx, "/dashboard?" + '"' * 7000).status == 303
        assert post(nginx, forged, large(1)).status == 401
        assert post(nginx, token, large(1), session=f"victim-{number}").status == 200
