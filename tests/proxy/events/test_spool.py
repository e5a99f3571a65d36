import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import msgspec
import pytest

from fixtures.usage import usage_event
from meshproxy_cli.proxy.events import spool as spools
from meshproxy_cli.proxy.events.spool import Spool
from meshproxy_cli.store.events import UsageEvent


def lines(directory: Path) -> list[UsageEvent]:
    return [
        msgspec.json.decode(line, type=UsageEvent)
        for path in spools.segments(directory)
        for line in path.read_bytes().splitlines()
    ]


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that has the tests' helpers."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_an_event_is_on_disk_once_append_returns(tmp_path: Path) -> None:
    spool, event = Spool(tmp_path / "spool"), usage_event(room="Zürich ☕")
    spool.append(event)
    assert lines(spool.directory) == [event]
    assert spool.counters.spooled == 1
    spool.close()


def test_the_spool_is_for_its_owner_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "spool")
    spool.append(usage_event())
    assert spool.directory.stat().st_mode & 0o777 == 0o700
    assert spools.segments(spool.directory)[0].stat().st_mode & 0o777 == 0o600
    spool.close()


def test_text_that_is_no_unicode_is_mended_not_lost(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(usage_event(model_requested="half \ud800"))
    assert lines(tmp_path)[0].model_requested == "half ?"
    spool.close()


def test_a_segment_in_use_cannot_be_claimed_and_a_closed_one_can(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(usage_event())
    (path,) = spools.segments(tmp_path)
    assert spools.claim(path) is None
    spool.rotate()
    file = spools.claim(path)
    assert file is not None
    assert spools.claim(path) is None
    os.close(file)


def test_how_long_the_oldest_segment_waits(tmp_path: Path) -> None:
    assert spools.waiting_s(tmp_path) == 0
    for age in (100, 5000):
        path = tmp_path / f"{1_000_000 - age:020d}-w0{spools.SUFFIX}"
        path.touch()
        os.utime(path, (time.time() - age,) * 2)
    assert 5000 <= spools.waiting_s(tmp_path) < 5100


def test_a_removed_segment_cannot_be_claimed(tmp_path: Path) -> None:
    assert spools.claim(tmp_path / "gone.spool") is None


def test_rotating_starts_a_segment_only_where_there_is_something(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.rotate()
    spool.rotate()
    assert spools.segments(tmp_path) == []
    for _ in range(3):
        spool.append(usage_event())
        spool.rotate()
        spool.rotate()
    assert len(spools.segments(tmp_path)) == 3


def test_a_segment_that_is_full_is_closed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, largest_segment=3000)
    events = [usage_event() for _ in range(20)]
    for event in events:
        spool.append(event)
    spool.close()
    assert lines(tmp_path) == events
    assert max(path.stat().st_size for path in spools.segments(tmp_path)) <= 3000


def test_events_survive_sigkill_and_their_segment_is_free_at_once(tmp_path: Path) -> None:
    process = run(
        """
        import sys
        from pathlib import Path
        from fixtures.usage import usage_event
        from meshproxy_cli.proxy.events.spool import Spool
        spool = Spool(Path(sys.argv[1]))
        while True:
            event = usage_event()
            spool.append(event)
            print(event.event_id, flush=True)
        """,
        tmp_path,
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(200)]
    (path,) = spools.segments(tmp_path)
    assert spools.claim(path) is None
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split("\n")[:-1]
    process.wait()
    process.stdout.close()
    kept = [event.event_id for event in lines(tmp_path)]
    assert kept[: len(told)] == told
    assert len(kept) - len(told) <= 1
    file = spools.claim(path)
    assert file is not None
    os.close(file)


def test_a_full_disk_fails_nothing_tears_no_line_and_loses_nothing(tmp_path: Path) -> None:
    # A limit on the size of files is to write(2) what a full disk is: it takes a part of the line, then nothing.
    process = run(
        """
        import resource, sys
        from pathlib import Path
        from fixtures.usage import usage_event
        from meshproxy_cli.proxy.events.spool import Spool
        spool = Spool(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
        for number in range(30):
            spool.append(usage_event(request_id=str(number)))
        print(spool.counters.write_errors > 0, 0 < spool.in_memory < 30)
        text = b"".join(path.read_bytes() for path in Path(sys.argv[1]).iterdir())
        print(text.endswith(b"\\n"), spool.in_memory + text.count(b"\\n"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        spool.append(usage_event(request_id="30"))
        print(spool.in_memory, spool.counters.spooled, spool.counters.lost)
        """,
        tmp_path,
    )
    output, _ = process.communicate(timeout=60)
    assert output.split("\n") == ["True True", "True 30", "0 31 0", ""]
    assert [event.request_id for event in lines(tmp_path)] == [str(number) for number in range(31)]


def test_where_neither_disk_nor_memory_has_room_the_log_has_the_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_MOST_IN_MEMORY", 2)
    spool = Spool(tmp_path / "spool")
    (tmp_path / "spool").rmdir()  # nothing can be written there any more
    events = [usage_event() for _ in range(3)]
    for event in events:
        spool.append(event)
    assert (spool.in_memory, spool.counters.lost) == (2, 1)
    assert events[2].event_id in caplog.text
    spool.close()
    assert spool.counters.lost == 3
    assert all(event.event_id in caplog.text for event in events)
