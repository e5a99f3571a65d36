"""A changed `server.toml` while a real server runs: nothing is cut off, all workers go by it, a wrong one by none."""

import http.client
import json
import os
import pty
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from e2e.provider import OPENAI_KEY, Behavior, RecordingProvider
from fixtures.certificates import certificate
from fixtures.commands import MESHPROXY, Cli, Home
from fixtures.proxies import running_proxy

PATIENCE_S = 30.0
PATH = "/rooms/my-room/openai/v1/responses"
SECOND = "sk-the-second-key-of-the-team"
_tokens: dict[tuple[int, str], str] = {}


def config(url: str, key: str, more: str = "") -> str:
    return f'[providers.openai]\nbase_url = "{url}/v1"\nkeys = ["file:{key}"]\n{more}'


@pytest.fixture
def second() -> Iterator[RecordingProvider]:
    with RecordingProvider() as running:
        yield running


class Team:
    """A server whose `server.toml` a test changes."""

    def __init__(self, root: Path, provider: RecordingProvider) -> None:
        self.home = Home(root / "proxy")
        self.provider = provider
        self.file = self.home.state / "config" / "server.toml"
        self.key = root / "key"
        self.write_key(OPENAI_KEY)
        self.write(config(provider.origin, str(self.key)))

    def write(self, text: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text, encoding="utf-8")

    def write_key(self, key: str) -> None:
        self.key.touch(0o600)
        self.key.write_text(key, encoding="utf-8")

    def serve(self, *options: str) -> Any:
        return running_proxy(self.home, self.provider, *options)

    @contextmanager
    def serve_tls(self, chain: str, key: str) -> Iterator[tuple[str, Cli]]:
        """Run a server with a certificate, and give its host and port."""
        log = self.home.root / "serve.log"
        runtime = self.home.state / "state" / "serve.json"
        self.home.directory.mkdir(parents=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [MESHPROXY, "serve", "--port", "0", "--tls-cert", chain, "--tls-key", key],
                env=self.home.environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            until(runtime.exists, "the server is ready")
            yield urlsplit(json.loads(runtime.read_text())["url"]).netloc, Cli(self.home)
        finally:
            process.terminate()
            assert process.wait(PATIENCE_S) == 0


@pytest.fixture
def team(tmp_path: Path, provider: RecordingProvider) -> Team:
    return Team(tmp_path, provider)


def headers(proxy: Any) -> dict[str, str]:
    """Return the headers of a request, with one token for a whole test: each takes a process."""
    if (proxy.process.pid, proxy.url) not in _tokens:
        _tokens[proxy.process.pid, proxy.url] = proxy.token("my-room")
    return {
        "Authorization": f"Bearer {_tokens[proxy.process.pid, proxy.url]}",
        "Meshagent-Session": "s",
        "Content-Type": "application/json",
    }


def body(*, stream: bool = False) -> bytes:
    return json.dumps({"model": "gpt-5.4", "input": "hello", "stream": stream}).encode()


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {what}"
        time.sleep(0.02)


def test_a_stream_goes_on_and_the_next_request_uses_the_new_key(team: Team, provider: RecordingProvider) -> None:
    with team.serve("--workers", "2") as proxy:
        provider.release.clear()
        provider.next(Behavior(stalls_after=2))
        connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE_S)
        connection.request("POST", PATH, body(stream=True), headers(proxy))
        answer = connection.getresponse()
        assert answer.readline().startswith(b"event: ")

        team.write_key(SECOND)
        found = proxy.cli("reload")
        assert "provider openai: another key" in found.stdout
        assert "3 processes" in found.stderr  # two workers and the shipper
        before = len(provider.requests)
        for _ in range(8):  # on connections of their own: both workers get some
            assert proxy.request("POST", PATH, headers(proxy), body()).status != 200  # the provider knows one key only
        provider.release.set()
        assert b"response.completed" in answer.read()
        connection.close()
        assert {request.header("authorization") for request in provider.requests[before:]} == {f"Bearer {SECOND}"}
        assert proxy.usage(requests=9)["totals"]["requests"] == 9
        assert "nothing is new" in proxy.cli("reload").stderr


def test_another_provider_and_settings_in_every_process(
    team: Team, provider: RecordingProvider, second: RecordingProvider
) -> None:
    with team.serve("--workers", "2") as proxy:
        assert proxy.request("POST", PATH, headers(proxy), body()).status == 200
        team.write(config(second.origin, str(team.key), "[rooms]\nstrict = true\n[metrics]\nopen = true\n"))
        report = proxy.cli("reload", "--json").json()
        assert (report["generation"], report["problem"], report["processes"]) == (1, "", 3)
        assert report["changes"][1:] == ["rooms.strict: false → true", "metrics.open: false → true"]
        assert [proxy.request("POST", PATH, headers(proxy), body()).status for _ in range(8)] == [403] * 8
        assert [proxy.request("GET", "/metrics").status for _ in range(8)] == [200] * 8
        proxy.cli("room", "create", "my-room")
        until(lambda: proxy.request("POST", PATH, headers(proxy), body()).status == 200, "the room is known")
        before = len(provider.requests)
        assert [proxy.request("POST", PATH, headers(proxy), body()).status for _ in range(8)] == [200] * 8
        assert (len(provider.requests), len(second.requests)) == (before, 9)


def test_a_wrong_file_is_refused_whole_and_a_later_start_of_a_worker_has_the_old_one(
    team: Team, provider: RecordingProvider, second: RecordingProvider
) -> None:
    with team.serve() as proxy:
        wrong = config(second.origin, str(team.key), '[rooms]\nstrict = "yes"\n[limits]\nidle = 1\n')
        team.write(wrong)
        refused = proxy.cli("reload", code=2).stderr
        assert "rooms.strict must be true or false" in refused
        assert "limits.idle is not known" in refused
        team.write(config(second.origin, str(team.home.root / "no such key")))
        refused = proxy.cli("reload", code=2).stderr
        assert "no such key can't be read" in refused
        assert "goes on with what it had" in refused
        before = len(provider.requests)
        assert proxy.request("POST", PATH, headers(proxy), body()).status == 200
        worker = min(workers(proxy.process.pid))
        os.kill(worker, signal.SIGKILL)
        until(lambda: set(workers(proxy.process.pid)) - {worker}, "another worker")
        until(lambda: answers(proxy), "it answers")
        assert len(provider.requests) > before
        assert second.requests == []

        team.write(config(second.origin, str(team.key)))
        os.kill(proxy.process.pid, signal.SIGHUP)
        until(lambda: answers(proxy) and second.requests, "SIGHUP alone does it too")
        worker = min(workers(proxy.process.pid))
        os.kill(worker, signal.SIGKILL)
        before = len(provider.requests)
        until(lambda: set(workers(proxy.process.pid)) - {worker} and answers(proxy), "another worker, with the new one")
        assert len(provider.requests) == before


def answers(proxy: Any) -> bool:
    try:
        return bool(proxy.request("POST", PATH, headers(proxy), body()).status == 200)
    except (OSError, http.client.HTTPException):
        return False


def workers(pid: int) -> list[int]:
    """Return a server's workers; the shipper has stepped back for them."""
    found = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]
    return [one for one in found if stat(one)[16] == stat(pid)[16]]


def stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()


def test_a_new_certificate_is_shown_to_new_connections(team: Team, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    first, second = certificate(tmp_path), certificate(tmp_path / "new")
    trusted = [ssl.create_default_context(cafile=chain) for chain, _ in (first, second)]
    with team.serve_tls(*first) as (netloc, cli):
        old = http.client.HTTPSConnection(netloc, timeout=PATIENCE_S, context=trusted[0])
        assert healthy(old)
        for ours, new in zip(first, second, strict=True):
            Path(ours).write_bytes(Path(new).read_bytes())
        cli("reload")
        fresh = http.client.HTTPSConnection(netloc, timeout=PATIENCE_S, context=trusted[1])
        assert healthy(fresh)
        assert healthy(old)
        Path(first[1]).write_text("no key any more", encoding="utf-8")
        assert "TLS certificate or key can't be used" in cli("reload", code=2).stderr
        assert healthy(fresh)
        again = http.client.HTTPSConnection(netloc, timeout=PATIENCE_S, context=trusted[1])
        assert healthy(again)
        for connection in (old, fresh, again):
            connection.close()


def healthy(connection: http.client.HTTPSConnection) -> bool:
    connection.request("GET", "/healthz")
    answer = connection.getresponse()
    return answer.read() == b"ok\n" and not answer.will_close


def test_without_a_server_there_is_nothing_to_reload(team: Team) -> None:
    with team.serve() as proxy:
        cli = proxy.cli
    assert "no `meshproxy serve` of this user is running" in cli("reload", code=4).stderr
    assert "is fine" in cli("reload", "--check").stderr
    team.write("[rooms]\nstrict = 1\n")
    assert "rooms.strict" in cli("reload", "--check", code=2).stderr
    assert "goes with --check" in cli("reload", "--config", "x", code=2).stderr


def test_a_window_that_is_closed_ends_the_server(team: Team) -> None:
    window, inside = pty.openpty()
    team.home.directory.mkdir(parents=True)
    process = subprocess.Popen(
        # `setsid --ctty`: the terminal is the server's own, as a terminal program would make it
        ["setsid", "--ctty", MESHPROXY, "serve", "--port", "0"],
        env=team.home.environ(),
        stdin=inside,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(inside)
    report = team.home.state / "state" / f"serve-{process.pid}.json"
    until((team.home.state / "state" / "serve.json").exists, "it is ready")
    process.send_signal(signal.SIGHUP)  # its terminal is there: it goes on
    until(lambda: json.loads(report.read_text())["generation"] == 1, "it has read its configuration again")
    assert process.poll() is None
    os.close(window)
    assert process.wait(PATIENCE_S) == 0
    assert team.home.processes() == []


def test_how_it_starts_can_stand_in_the_file_and_needs_a_restart(team: Team) -> None:
    team.write("[server]\nworkers = 2\nweb = false\n")
    with team.serve("--web") as proxy:
        assert len(workers(proxy.process.pid)) == 2
        assert proxy.request("GET", "/healthz").status == 200  # the option comes first
        team.write("[server]\nworkers = 3\n")
        assert "server.workers: 2 → 3 (needs a restart)" in proxy.cli("reload").stdout
        assert len(workers(proxy.process.pid)) == 2


def test_under_load_no_request_fails_while_providers_come_and_go(
    team: Team, provider: RecordingProvider, second: RecordingProvider
) -> None:
    over = threading.Event()
    statuses: list[int] = []
    with team.serve("--workers", "2") as proxy:
        fields = headers(proxy)

        def ask() -> None:
            connection = http.client.HTTPConnection(urlsplit(proxy.url).netloc, timeout=PATIENCE_S)
            while not over.is_set():
                connection.request("POST", PATH, body(stream=True), fields)
                answer = connection.getresponse()
                whole = b"response.completed" in answer.read()
                statuses.append(answer.status if whole else 0)
            connection.close()

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(4):
                chosen = (second, provider)[number % 2]
                before = len(chosen.requests)
                team.write(config(chosen.origin, str(team.key)))
                assert "provider openai: base URL" in proxy.cli("reload").stdout
                until(lambda chosen=chosen, before=before: len(chosen.requests) > before + 10, "it is used")  # type: ignore[misc]
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert set(statuses) == {200}
        assert proxy.usage(requests=len(statuses))["totals"]["requests"] == len(statuses)


def test_new_prices_hold_from_the_next_request_on(team: Team, provider: RecordingProvider, tmp_path: Path) -> None:
    prices = tmp_path / "prices.toml"

    def price(dollars: int) -> None:
        prices.write_text(f'[[price]]\nmodel = "gpt-5.4"\ninput_mtok = {dollars}\noutput_mtok = 0\n', encoding="utf-8")

    price(1)
    team.write(config(provider.origin, str(team.key), f'[usage]\nprices = "{prices}"\n'))
    tokens = {"input_tokens": 1_000_000, "cached_input_tokens": 0, "output_tokens": 1}
    provider.next(Behavior(tokens=tokens), Behavior(tokens=tokens))
    with team.serve() as proxy:
        assert proxy.request("POST", PATH, headers(proxy), body()).status == 200
        assert float(proxy.usage(requests=1)["totals"]["cost_usd"]) == 1.0
        price(7)
        assert "nothing is new" in proxy.cli("reload").stderr
        assert proxy.request("POST", PATH, headers(proxy), body()).status == 200
        assert float(proxy.usage(requests=2)["totals"]["cost_usd"]) == 8.0
