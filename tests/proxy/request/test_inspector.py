"""Large bodies are read in a process beside the worker, with the same result as small ones."""

import asyncio
import gzip
import json
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from meshproxy_cli.proxy.core.directory import Directory
from meshproxy_cli.store.records import Room
from proxy.gateway_server import KEY, Bench, plain, request, until
from proxy.scripted_exchanges import ANSWER, Answers, play

MIB = 2**20
LARGE = "x" * (3 * MIB)
ALIASES = {"fast": "gpt-5.4-mini"}


def in_a_room(running: Bench, *, models: tuple[str, ...] = (), aliases: dict[str, str] | None = None) -> None:
    made = Room(
        name="r", project_id=KEY.project_id, created_at=datetime(2026, 1, 1, tzinfo=UTC), models=models,
        aliases=aliases or {},
    )  # fmt: skip
    keys = running.gateway.directory.keys
    running.gateway.use_directory(Directory(keys=keys, rooms={(KEY.project_id, "r"): made}))


def body(model: str = "gpt-5.4", **members: object) -> bytes:
    return json.dumps({"model": model, "input": LARGE, **members}).encode()


def asked_of(tmp_path: Path, test: Callable[[Bench], Awaitable[None]], more: str = "") -> Answers:
    served = Answers(plain(ANSWER))
    play(tmp_path, served, test, more=more)
    return served


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes().strip(b"\0")


def process_of(running: Bench) -> int:
    process = running.gateway.inspector._process
    return 0 if process is None else process.pid


def test_a_large_body_is_forwarded_to_the_byte(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        assert (await running.ask(request(body()))).startswith(b"HTTP/1.1 200 ")
        assert process_of(running)
        assert (await running.event()).model_requested == "gpt-5.4"

    assert asked_of(tmp_path, test).asked[0].body == body()


def test_a_small_body_needs_no_process(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        assert (await running.ask(request())).startswith(b"HTTP/1.1 200 ")
        assert not process_of(running)

    asked_of(tmp_path, test)


@pytest.mark.parametrize("fields", [(), ("Content-Encoding: gzip",)])
def test_a_changed_body_is_sent_plain(tmp_path: Path, fields: tuple[str, ...]) -> None:
    words = " ".join(str(number) for number in range(500_000))
    written = json.dumps({"model": "fast", "input": words}).encode()

    async def test(running: Bench) -> None:
        in_a_room(running, aliases=ALIASES)
        sent = gzip.compress(written) if fields else written
        assert (await running.ask(request(sent, *fields))).startswith(b"HTTP/1.1 200 ")
        assert process_of(running)

    (asked,) = asked_of(tmp_path, test).asked
    assert json.loads(asked.body) == {"model": "gpt-5.4-mini", "input": words}
    assert asked.fields(b"content-encoding") == []


def test_a_body_that_is_not_changed_keeps_its_coding(tmp_path: Path) -> None:
    sent = gzip.compress(json.dumps({"model": "a", "input": " ".join(map(str, range(500_000)))}).encode())

    async def test(running: Bench) -> None:
        assert (await running.ask(request(sent, "Content-Encoding: gzip"))).startswith(b"HTTP/1.1 200 ")

    (asked,) = asked_of(tmp_path, test).asked
    assert (asked.body, asked.fields(b"content-encoding")) == (sent, [b"gzip"])


def test_refusals_are_those_of_small_bodies(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        in_a_room(running, models=("openai/other",))
        assert b"does not allow the model 'gpt-5.4'" in await running.ask(request(body()))
        in_a_room(running)
        assert b"not_found" in await running.ask(request(body(previous_response_id="resp_foreign")))
        assert b"is not a JSON object" in await running.ask(request(b"{" + body()))
        assert {event.outcome for event in running.ledger.seen} == {"refused"}

    assert asked_of(tmp_path, test).asked == []


def test_the_process_asks_whose_an_id_is(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        assert (await running.ask(request())).startswith(b"HTTP/1.1 200 ")  # makes resp_1
        follow_up = request(body(previous_response_id="resp_1"))
        assert (await running.ask(follow_up)).startswith(b"HTTP/1.1 200 ")

    assert len(asked_of(tmp_path, test).asked) == 2


def test_a_process_that_ended_is_started_again(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        await running.ask(request(body()))
        first = process_of(running)
        os.kill(first, 9)
        await until(
            lambda: running.gateway.inspector._process is None or running.gateway.inspector._process.poll() == -9
        )
        assert (await running.ask(request(body()))).startswith(b"HTTP/1.1 200 ")
        assert process_of(running) not in {0, first}

    asked_of(tmp_path, test)


def test_a_process_that_fails_is_told_as_a_refusal_to_try_again(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        running.gateway.inspector._converse = lambda *_: (_ for _ in ()).throw(EOFError)  # type: ignore[method-assign]
        answer = await running.ask(request(body()))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"try_again" in answer

    assert asked_of(tmp_path, test).asked == []


def test_the_process_ends_with_its_worker_and_knows_none_of_its_secrets(tmp_path: Path) -> None:
    seen: list[int] = []

    async def test(running: Bench) -> None:
        await running.ask(request(body()))
        seen.append(process_of(running))
        assert environment_of(seen[0]) == b""
        assert os.getpriority(os.PRIO_PROCESS, seen[0]) > os.getpriority(os.PRIO_PROCESS, 0)

    asked_of(tmp_path, test)
    assert not Path(f"/proc/{seen[0]}").exists()


def test_a_client_that_left_is_not_inspected(tmp_path: Path) -> None:
    async def test(running: Bench) -> None:
        inspector = running.gateway.inspector
        ran: list[bool] = []
        await asyncio.get_running_loop().run_in_executor(
            None,
            lambda: ran.append(inspector._run(None, (), lambda: False) is None),  # type: ignore[arg-type]
        )
        assert ran == [True]
        assert not process_of(running)

    asked_of(tmp_path, test)
