"""Lines for people and for machines: what is in them, and what is not."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from meshproxy_cli.proxy.config.server import LogSettings, load_config
from meshproxy_cli.proxy.process.logs import LogOptions, log_as, set_up, uncaught_in_loop
from meshproxy_cli.proxy.redaction import Redactor

SECRET = "the master's voice"
_log = logging.getLogger("meshproxy_cli.some.module")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("meshproxy_cli")
    before = root.handlers[:], root.level, ours.level, sys.excepthook, threading.excepthook, logging.raiseExceptions
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
    sys.excepthook, threading.excepthook = before[3], before[4]
    logging.raiseExceptions = before[5]
    logging.captureWarnings(capture=False)


class Log:
    """What was logged since the last look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def start(self, **settings: Any) -> None:
        set_up(LogSettings(**settings), "worker 1", Redactor([SECRET]))
        self._capsys.readouterr()

    def lines(self) -> list[str]:
        return self._capsys.readouterr().err.splitlines()

    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def fail() -> None:
    raise ValueError(f"it is {SECRET}")


def test_for_people(log: Log) -> None:
    log.start()
    _log.warning("%d of %s", 3, "them", extra={"request_id": "req_1", "fields": {"room": "a b", "x": "", "n": 0}})
    (line,) = log.lines()
    time, _, rest = line.partition(" WARNING ")
    assert len(time) == len("2026-11-23 13:50:01.123")
    assert rest == 'worker 1: 3 of them room="a b" n=0 [req_1]'


def test_for_machines(log: Log) -> None:
    log.start(json=True)
    _log.info("a\nb\x1b[31m", extra={"request_id": "req_1", "fields": {"room": 'a "b"', "x": None, "n": 0}})
    (found,) = log.objects()
    assert found.pop("time").endswith("Z")
    assert found == {
        "level": "info",
        "process": "worker 1",
        "logger": "meshproxy_cli.some.module",
        "message": "a\nb\x1b[31m",
        "request_id": "req_1",
        "room": 'a "b"',
        "n": 0,
    }


def test_a_name_begins_no_line_and_steers_no_terminal(log: Log) -> None:
    log.start()
    _log.info("room %s", "x\n2026 ERROR worker 1: forged\x1b[2J", extra={"fields": {"session": "y\r\nz"}})
    (line,) = log.lines()
    assert line.endswith(r"INFO worker 1: room x\n2026 ERROR worker 1: forged\x1b[2J session=y\r\nz")


@pytest.mark.parametrize("as_json", [False, True])
def test_a_traceback_is_whole_and_without_secrets(log: Log, *, as_json: bool) -> None:
    log.start(json=as_json)
    try:
        fail()
    except ValueError:
        _log.exception("it failed with %s", SECRET, extra={"fields": {"name": SECRET}})
    text = "\n".join(log.lines())
    assert SECRET not in text
    assert "it failed with (secret)" in text
    assert 'raise ValueError(f"it is {SECRET}")' in text.replace('\\"', '"')
    assert "ValueError: it is (secret)" in text
    assert not as_json or len(text.splitlines()) == 1


def test_levels(log: Log) -> None:
    log.start(level="error")
    _log.warning("no")
    _log.error("yes")
    logging.getLogger("a.library").info("no")
    assert [line.rpartition(" ")[2] for line in log.lines()] == ["yes"]
    log.start(level="debug")
    _log.debug("yes")
    logging.getLogger("a.library").info("no")
    assert [line.rpartition(" ")[2] for line in log.lines()] == ["yes"]


def test_what_nobody_caught(log: Log) -> None:
    log.start(json=True)
    thread = threading.Thread(target=fail, name="some thread")
    thread.start()
    thread.join()
    try:
        fail()
    except ValueError:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is an error
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(f"old: {SECRET}", stacklevel=1)
    found = log.objects()
    assert [one["level"] for one in found] == ["critical", "critical", "warning"]
    assert "some thread" in found[0]["message"]
    assert all("ValueError: it is (secret)" in one["traceback"] for one in found[:2])


def test_of_what_an_event_loop_caught_only_the_error_and_the_request_are_told(log: Log) -> None:
    class Connection:
        request_id = "req_7"

    log.start(json=True)
    context = {
        "message": "Fatal error",
        "exception": ValueError("odd"),
        "protocol": Connection(),
        "handle": "<Handle data_received(b'the body')>",
    }
    uncaught_in_loop(None, context)
    uncaught_in_loop(None, {"message": "Task was destroyed"})
    first, second = log.objects()
    assert (first["message"], first["request_id"]) == ("Fatal error", "req_7")
    assert "ValueError: odd" in first["traceback"]
    assert "the body" not in json.dumps(first)
    assert "request_id" not in second


def test_what_can_not_be_formatted_is_not_printed_with_its_arguments(log: Log) -> None:
    log.start()
    _log.warning("%d", SECRET)
    assert SECRET not in "\n".join(log.lines())


def test_options_come_before_the_file() -> None:
    settings = LogSettings(json=True, level="debug", access=True)
    assert LogOptions().over(settings) == settings
    assert LogOptions(json=False, level="error", access=False).over(settings) == LogSettings(level="error")


def test_keys_of_an_earlier_configuration_stay_secret(log: Log) -> None:
    class Holder:
        log = LogOptions(json=True)
        environ: Mapping[str, str] = MappingProxyType({})
        database_url = "sqlite:///x"

    for key in ("the first team key", "the second team key"):
        config = load_config('[providers.openai]\nkeys=["env:A"]', {}, lambda _, key=key: key)  # type: ignore[misc]
        log_as(config, {}, Holder(), "server")
    _log.info("first: the first team key, second: the second team key")
    assert log.objects()[0]["message"] == "first: (secret), second: (secret)"
