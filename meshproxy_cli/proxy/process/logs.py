"""How the processes of a server log: one line for each event on standard error, for people or as JSON.

A record may carry `request_id`, and `fields` with more that is known; both come with `extra`. Never a body, and no
secret: every line passes the redactor, tracebacks included.
"""

import json
import logging
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol

from meshproxy_cli.proxy.config.server import LogSettings, ServerConfig
from meshproxy_cli.proxy.redaction import Redactor, secrets_of

_OURS = "meshproxy_cli"
_NOTHING = ("", None)
_log = logging.getLogger(__name__)
_held: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What was chosen on the command line, before what `server.toml` says; None: as there."""

    json: bool | None = None
    level: str | None = None
    access: bool | None = None

    def over(self, settings: LogSettings) -> LogSettings:
        """Return the settings with what was chosen."""
        return LogSettings(
            json=settings.json if self.json is None else self.json,
            level=settings.level if self.level is None else self.level,
            access=settings.access if self.access is None else self.access,
        )


class Holder(Protocol):
    """What a process was started with: how it shall log, and where secrets may be."""

    @property
    def log(self) -> LogOptions: ...

    @property
    def environ(self) -> Mapping[str, str]: ...

    @property
    def database_url(self) -> str: ...


def log_as(config: ServerConfig, secrets: Mapping[str, str], holder: Holder, process: str) -> None:
    """Log as a configuration wants it; `secrets` are those that its references lead to."""
    # An earlier configuration's keys may still be in use.
    _held.update(secrets_of(config, secrets, holder.environ, holder.database_url))
    set_up(holder.log.over(config.log), process, Redactor(_held))


def set_up(settings: LogSettings, process: str, redact: Redactor) -> None:
    """Log like this from now on; `process` is this process's name. May be called again with other settings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonLines if settings.json else PeopleLines)(process, redact))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)  # of libraries
    logging.getLogger(_OURS).setLevel(settings.level.upper())
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # what can't be logged would be printed, with its arguments
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class _Lines(logging.Formatter):
    def __init__(self, process: str, redact: Redactor) -> None:
        super().__init__()
        self._process = process
        self._redact = redact

    def _traceback(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class PeopleLines(_Lines):
    """`2026-11-23 13:50:01.123 WARNING worker 0: what happened [req_…]`, in UTC; a traceback follows on lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line, or several where there is a traceback."""
        time = _time(record).strftime("%Y-%m-%d %H:%M:%S")
        words = [_one_line(record.getMessage()), *(f"{key}={_word(value)}" for key, value in _fields(record).items())]
        if request_id := getattr(record, "request_id", ""):
            words.append(f"[{request_id}]")
        line = f"{time}.{int(record.msecs):03} {record.levelname} {self._process}: {' '.join(words)}"
        return self._redact("\n".join(filter(None, (line, self._traceback(record)))))


class JsonLines(_Lines):
    """One JSON object a line: `time` (RFC 3339), `level`, `process`, `logger`, `message`, and what else is known."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        known: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": getattr(record, "request_id", ""),
            **_fields(record),
            "traceback": self._traceback(record),
        }
        cleaned = {name: self._clean(value) for name, value in known.items() if value not in _NOTHING}
        return json.dumps(cleaned, ensure_ascii=False, default=str)

    def _clean(self, value: object) -> object:
        # Before it is escaped: a secret with a quote in it would look different after.
        return self._redact(value) if isinstance(value, str) else value


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in getattr(record, "fields", {}).items() if value not in _NOTHING}


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _one_line(text: str) -> str:
    """Escape what would begin a line of its own, or steer a terminal: names in logs come from clients."""
    return text if text.isprintable() else "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def _word(value: object) -> str:
    text = _one_line(str(value))
    return text if text and " " not in text and '"' not in text else json.dumps(text, ensure_ascii=False)


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _log.critical("an error that nobody caught", exc_info=(kind, error, traceback))


def _uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
    name = arguments.thread.name if arguments.thread is not None else "?"
    error = arguments.exc_value or arguments.exc_type()
    _log.critical("an error that nobody caught in the thread %s", name, exc_info=error)


def uncaught_in_loop(_loop: object, context: dict[str, Any]) -> None:
    """Log what an event loop caught (`asyncio.AbstractEventLoop.set_exception_handler`).

    Of the context only the message and the error: what else is in it shows arguments, and these may be bodies.
    """
    request_id = getattr(context.get("protocol"), "request_id", "")
    extra = {"request_id": request_id}
    _log.error(
        "%s", context.get("message", "an error that nobody caught"), exc_info=context.get("exception"), extra=extra
    )
