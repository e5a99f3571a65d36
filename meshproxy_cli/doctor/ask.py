"""One HTTP request as an agent sends it, whatever the answer is."""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from meshproxy_cli import __version__
from meshproxy_cli.client.http import opener
from meshproxy_cli.errors import UnavailableError

_MAX_ANSWER = 1024 * 1024
_CHUNK = 16 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, read whole (1 MiB at most): `first_s` is when its first byte came, `total_s` when it was over."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    first_s: float
    total_s: float


def ask(
    method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | None = None, *, limit_s: float
) -> Reply:
    """Send a request and return the answer; header names come in lower case. Raises `UnavailableError`."""
    request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 (`settings.urls` checked the scheme)
    request.add_header("User-Agent", f"meshproxy-doctor/{__version__}")
    for name, value in (headers or {}).items():
        request.add_unredirected_header(name, value)
    start = time.monotonic()
    try:
        with opener(url).open(request, timeout=limit_s) as answer:
            return _read(answer.status, answer, start)
    except urllib.error.HTTPError as problem:
        with problem:
            return _read(problem.code, problem, start)
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", problem) or type(problem).__name__
        raise UnavailableError(f"{url} can't be reached: {reason}") from None


def _read(status: int, answer: "http.client.HTTPResponse | urllib.error.HTTPError", start: float) -> Reply:
    first = answer.read(1)
    first_s = time.monotonic() - start
    parts = [first]
    size = 1
    while first and size < _MAX_ANSWER and (chunk := answer.read(_CHUNK)):
        parts.append(chunk)
        size += len(chunk)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(status, headers, b"".join(parts), first_s, time.monotonic() - start)
