"""Takes out of a report what must not be in one: secrets, and names that say who somebody is."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_SECRETS = re.compile(
    r"ma-[\w.]{22}-[\w.]{22}-[\w.~+/=-]+"  # API keys
    r"|eyJ[\w-]+\.[\w-]*\.?[\w-]*"  # tokens
    r"|\bmpa_[\w-]{8,}"  # access tokens
    r"|\b(?:sk|pk|rk|mat|key)-[\w-]{8,}"  # providers' keys
)
_NAMES_OF_SECRETS = re.compile(r"KEY|TOKEN|SECRET|PASSW", re.IGNORECASE)
_SHORTEST = 8  # what is shorter may be a word
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_ADDRESSES = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBERS = re.compile(r"(?<![\d.])(?!127\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|\b(?:[\da-f]{1,4}:){3,}[\da-f:]*[\da-f]\b")
_HOSTS = re.compile(r"(?<=://)(?!(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$))[^/:\s]+")


def secrets_of(environ: Mapping[str, str], kept: Iterable[str | None]) -> tuple[str, ...]:
    """Return the texts that are secret whatever they look like: of variables, and what is kept in the secrets file."""
    told = (value for name, value in environ.items() if _NAMES_OF_SECRETS.search(name))
    return tuple({value.strip() for value in (*told, *kept) if value and len(value.strip()) >= _SHORTEST})


def without_secrets(text: str, known: Iterable[str] = ()) -> str:
    """Return the text without secrets: those that are known, and what looks like one."""
    for secret in known:
        text = text.replace(secret, "(secret)")
    return _SECRETS.sub("(secret)", text)


def redacted(text: str, home: Path, names: Mapping[str, str]) -> str:
    """Return the text without secrets, users in URLs and foreign hosts; `names` maps words to what replaces them."""
    text = without_secrets(text)
    text = _USER_IN_URL.sub("", text)
    text = _ADDRESSES.sub("EMAIL", text)
    text = _HOSTS.sub("HOST", text)
    text = _NUMBERS.sub("ADDRESS", text)
    text = text.replace(str(home), "~")
    for word, instead in names.items():
        if word:
            text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", instead, text)
    return text


def redact_all(value: Any, home: Path, names: Mapping[str, str]) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a JSON value with every text in it redacted."""
    if isinstance(value, str):
        return redacted(value, home, names)
    if isinstance(value, Mapping):
        return {key: redact_all(item, home, names) for key, item in value.items()}
    if isinstance(value, list):
        return [redact_all(item, home, names) for item in value]
    return value
