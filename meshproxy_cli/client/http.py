"""JSON over HTTP with the standard library, as far as the remote client needs it.

The system's certificates, SSL_CERT_FILE, HTTPS_PROXY and NO_PROXY are handled by `urllib`. A redirect is
never followed: it would send the access token to its target.
"""

import functools
import http.client
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import IO, Any

from meshproxy_cli import __version__
from meshproxy_cli.errors import (
    ConflictError,
    CredentialError,
    MeshproxyError,
    NotFoundError,
    UnavailableError,
    UsageError,
)

TIMEOUT_S = 20.0
MAX_ANSWER = 64 * 1024 * 1024
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Treats a redirect as an HTTP error."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Return no request to follow."""


@dataclass(frozen=True, slots=True)
class JsonApi:
    """A JSON API at `url` (without a trailing slash), called with a bearer token."""

    url: str
    token: str = field(repr=False)
    timeout_s: float = TIMEOUT_S

    def call(self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None) -> Any:  # noqa: ANN401
        """Make one call and return its JSON (None for an empty answer); numbers with a fraction are `Decimal`.

        Raises `CredentialError` (401, 403), `NotFoundError`, `ConflictError`, `UsageError` (other 4xx) and
        `UnavailableError` (5xx, no connection, no answer within the time limit, an answer that is not JSON).
        """
        request = self._request(method, path, query, body)
        try:
            with opener(self.url).open(request, timeout=self.timeout_s) as answer:
                return _read(answer, self.url)
        except urllib.error.HTTPError as problem:
            with problem:
                raise _refusal(problem, self.url) from None
        except (OSError, http.client.HTTPException) as problem:
            reason = getattr(problem, "reason", problem)
            raise UnavailableError(
                f"{self.url} can't be reached: {reason or type(problem).__name__}.", hint=_hint_for(reason, self.url)
            ) from None

    def _request(self, method: str, path: str, query: dict[str, str] | None, body: object) -> urllib.request.Request:
        self._check()
        address = self.url + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        request = urllib.request.Request(address, method=method)  # noqa: S310 (the scheme was just checked)
        request.add_header("Accept", "application/json")
        request.add_header("User-Agent", f"meshproxy/{__version__}")
        request.add_unredirected_header("Authorization", f"Bearer {self.token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        return request

    def _check(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"Invalid server URL {self.url!r}: use http or https.")
        if any(character <= " " or character == "\x7f" for character in self.token):
            raise CredentialError("Invalid access token: it contains spaces or line breaks; copy it whole.")


def quote(segment: str) -> str:
    """Return `segment` as one segment of a path."""
    return urllib.parse.quote(segment, safe="")


def opener(url: str) -> urllib.request.OpenerDirector:
    """Return an opener with the system's certificates and proxies that does not follow redirects."""
    secure = urllib.parse.urlsplit(url).scheme == "https"
    # Reading all certificates takes 40 ms; the one for plain http trusts nobody.
    trust = _trust(*map(os.environ.get, _CERTIFICATES)) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=trust))


@functools.lru_cache(maxsize=4)
def _trust(*_changed: str | None) -> ssl.SSLContext:
    """Return the trusted certificates, read once per value of the variables that locate them."""
    return ssl.create_default_context()


def _read(answer: IO[bytes], url: str) -> Any:  # noqa: ANN401 (any JSON value)
    data = answer.read(MAX_ANSWER + 1)
    if len(data) > MAX_ANSWER:
        raise UnavailableError(f"{url} answered with more than {MAX_ANSWER} bytes.", hint="ask for a shorter time")
    if not data.strip():
        return None
    try:
        return json.loads(data, parse_float=Decimal)
    except ValueError:
        raise UnavailableError(
            f"{url} did not answer with JSON.", hint="check that this is the URL of a Room Proxy, not of a web page"
        ) from None


def _refusal(problem: urllib.error.HTTPError, url: str) -> MeshproxyError:
    message, hint = _explanation(problem)
    said = f" {message}" if message else ""
    status = problem.code
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialError(
            f"{url} refused the access token ({status}).{said}",
            hint=hint or "ask an admin of the server for one; see `meshproxy server add --help`",
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        target = problem.headers.get("Location", "elsewhere")
        return UnavailableError(
            f"{url} redirects to {target}; this is not followed because it would send the access token there.",
            hint="give the final address as the server's URL",
        )
    kinds: dict[int, type[MeshproxyError]] = {HTTPStatus.NOT_FOUND: NotFoundError, HTTPStatus.CONFLICT: ConflictError}
    temporary = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
    kind = kinds.get(status, UnavailableError if temporary else UsageError)
    return kind(message or f"{url} answered {status} {problem.reason}.", hint=hint)


def _explanation(problem: urllib.error.HTTPError) -> tuple[str, str | None]:
    try:
        body = json.loads(problem.read(MAX_ANSWER))
        error = body.get("error", body) if isinstance(body, dict) else {}
    except (ValueError, OSError, http.client.HTTPException):
        return "", None
    if isinstance(error, str):
        return error, None
    if not isinstance(error, dict):
        return "", None
    hint = error.get("hint")
    return str(error.get("message") or error.get("detail") or ""), str(hint) if hint else None


def _hint_for(reason: object, url: str) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "for a private certificate authority set SSL_CERT_FILE to its certificate"
    if isinstance(reason, TimeoutError):
        return "the server is slow or a firewall drops the connection; try again"
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return "a proxy is set in the environment: check it, or add this server to NO_PROXY"
    return f"check that the server is running and {url} is right; see `meshproxy server list`"
