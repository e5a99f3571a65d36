"""What metering costs for each chunk of a stream, and recording for each answer: as ratios in one run.

    python benchmarks/usage_meter.py [--rounds 7]

The bar: watching an event that carries no usage costs less than `json.loads` of its data alone would, for each of the
three streaming formats. Recording an answer is shown beside one bare `os.write` of the same line, without a bar. The
fastest round counts. Exits with 1 where the bar is missed.
"""

import argparse
import json
import os
import sys
import tempfile
import timeit
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from meshproxy_cli.proxy.core.caller import Caller
from meshproxy_cli.proxy.core.ids import new_event_id
from meshproxy_cli.proxy.events.entry import Entry, encode, subject_of
from meshproxy_cli.proxy.events.recorder import Ledger
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.proxy.usage.meter import meter_for
from meshproxy_cli.proxy.usage.reading import Reading
from meshproxy_cli.store.events import Outcome, TokenCounts

MAX_RATIO = 1.0
NUMBER = 5000
STREAMS = {
    "anthropic /v1/messages": (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
        b'{"type":"text_delta","text":"someone with several forms an"}}\n\n'
    ),
    "openai /v1/responses": (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":12,'
        b'"item_id":"msg_68af4030baa48193b0b43b4c2a176a1a0e69","output_index":0,"content_index":0,'
        b'"delta":"Hello there","logprobs":[],"obfuscation":"jsdf83jsdfk"}\n\n'
    ),
    "openai /v1/chat/completions": (
        b'data: {"id":"chatcmpl-CUQZ8","object":"chat.completion.chunk","created":1761420000,"model":"gpt-4o",'
        b'"service_tier":"default","system_fingerprint":"fp_cbf17","choices":[{"index":0,"delta":{"content":" Hello"},'
        b'"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"3kj"}\n\n'
    ),
}


def microseconds(action: Callable[[], object], rounds: int) -> float:
    """Return the time of one call, in the fastest of some rounds."""
    return min(timeit.repeat(action, number=NUMBER, repeat=rounds)) / NUMBER * 1e6


def measure_stream(name: str, event: bytes, rounds: int) -> bool:
    """Compare metering an event with reading its JSON."""
    protocol, endpoint = name.split(" ")
    meter = meter_for(
        protocol=protocol, endpoint=endpoint, status=200, content_type=b"text/event-stream", content_encoding=b""
    )
    meter.feed(event)
    data = event.split(b"data: ")[1]
    metered, parsed = microseconds(lambda: meter.feed(event), rounds), microseconds(lambda: json.loads(data), rounds)
    print(f"{name:30} {len(event):4} bytes  {metered:5.2f} µs  {metered / parsed:5.2f} of reading it as JSON")
    return metered <= MAX_RATIO * parsed


def measure_record(rounds: int) -> None:
    """Compare recording an event with writing its line."""
    caller = Caller(
        project_id="6f1f9f2e-0000-4000-8000-000000000000",
        room="my-room",
        session="codex-agent",
        participant="ada",
        key_id="6f1f9f2e-0000-4000-8000-000000000001",
        agent="codex_exec",
        models=None,
    )
    subject = subject_of(caller, "openai", "/v1/responses", "POST")
    reading = Reading(tokens=TokenCounts(input_tokens=1000, output_tokens=100), model="gpt-5.4", complete=True)
    entry = Entry(
        event_id=new_event_id(),
        request_id="req-1",
        started_at=datetime.now(UTC),
        streamed=True,
        status=200,
        outcome=Outcome.OK,
    )
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(Path(directory) / "spool")
        ledger = Ledger(spool)
        recorded = microseconds(lambda: ledger.record(subject, entry, reading), rounds)
        spool.close()
        line = encode(entry, subject)
        with (Path(directory) / "bare").open("ab", buffering=0) as file:
            bare = microseconds(lambda: os.write(file.fileno(), line), rounds)
    print(f"{'recording an answer':30} {len(line):4} bytes  {recorded:5.2f} µs  {recorded / bare:5.2f} of a bare write")


def main() -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    kept = [measure_stream(name, event, rounds) for name, event in STREAMS.items()]
    measure_record(rounds)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
