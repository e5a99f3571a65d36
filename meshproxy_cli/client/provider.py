"""Ask a provider for its models with the team's own key, which shows whether key and URL are right."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from meshproxy_cli import __version__
from meshproxy_cli.client.http import opener
from meshproxy_cli.errors import CredentialError, UnavailableError

TIMEOUT_S = 20.0
_MAX_ANSWER = 8 * 1024 * 1024
_ANTHROPIC_VERSION = "2023-06-01"
_MAX_QUOTE = 300
_SHORT = 6  # shorter values are words of many messages, not secrets


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """The provider's models, and how many seconds the answer took."""

    models: tuple[str, ...]
    seconds: float


def ask_models(
    protocol: str, base_url: str, key: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = TIMEOUT_S
) -> ProviderAnswer:
    """`GET` the list of models; `base_url` is as the provider's SDK has it (OpenAI's ends in `/v1`).

    Without a `key` only the `headers` authenticate. Raises `CredentialError` if the key is rejected and
    `UnavailableError` for any other failure.
    """
    request = _request(protocol, base_url, key, headers or {})
    start = time.monotonic()
    try:
        with opener(request.full_url).open(request, timeout=timeout_s) as answer:
            body = answer.read(_MAX_ANSWER)
    except urllib.error.HTTPError as problem:
        with problem:
            raise _refusal(problem, request.full_url, [key, *" ".join((headers or {}).values()).split()]) from None
    except (OSError, http.client.HTTPException) as problem:
        reason = getattr(problem, "reason", None) or type(problem).__name__
        raise UnavailableError(f"{request.full_url} can't be reached: {reason}") from None
    return ProviderAnswer(_models(body, request.full_url), time.monotonic() - start)


def _request(protocol: str, base_url: str, key: str, headers: Mapping[str, str]) -> urllib.request.Request:
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CredentialError(
            "invalid key: it contains spaces or other characters that keys do not have; copy it whole"
        )
    path = "/models" if protocol == "openai" else "/v1/models"
    request = urllib.request.Request(base_url.rstrip("/") + path)  # noqa: S310 (`settings.urls` checked the scheme)
    request.add_header("Accept", "application/json")
    request.add_header("User-Agent", f"meshproxy/{__version__}")
    if protocol == "anthropic":
        request.add_header("anthropic-version", _ANTHROPIC_VERSION)
    if key:
        slot, value = ("x-api-key", key) if protocol == "anthropic" else ("Authorization", f"Bearer {key}")
        request.add_unredirected_header(slot, value)
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    return request


def _refusal(problem: urllib.error.HTTPError, url: str, secrets: list[str]) -> CredentialError | UnavailableError:
    said = problem.read(_MAX_QUOTE * 4).decode(errors="replace")
    for secret in secrets:  # some providers quote the key in part, some gateways as a whole
        said = said.replace(secret, "…") if len(secret) > _SHORT else said
    quoted = " ".join(_message(said).split())[:_MAX_QUOTE]
    text = f"{url} answered {problem.code} {problem.reason}" + (f": {quoted}" if quoted else "")
    if problem.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return CredentialError(text, hint="the key is wrong, expired, or not allowed to list models")
    if problem.code == HTTPStatus.NOT_FOUND:
        return UnavailableError(text, hint="check the base URL: OpenAI's ends in /v1, Anthropic's does not")
    return UnavailableError(text)


def _message(body: str) -> str:
    """Return the message in a provider's error, or the body if it has none."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return body


def _models(body: bytes, url: str) -> tuple[str, ...]:
    try:
        return tuple(str(model["id"]) for model in json.loads(body)["data"])
    except (ValueError, KeyError, TypeError):
        raise UnavailableError(f"{url} did not answer with a list of models", hint="check the base URL") from None
