"""Takes out of a report what must not be in one: secrets, and names that say who somebody is."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshproxy_cli.redact import redact

_USER_IN_URL = re.compile(r"(?<=://)\(secret\)@")
_ADDRESSES = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBERS = re.compile(r"(?<![\d.])(?!127\.)(?:\d{1,3}\.){3}\d{1,3}(?![\d.])|\b(?:[\da-f]{1,4}:){3,}[\da-f:]*[\da-f]\b")
_HOSTS = re.compile(r"(?<=://)(?!(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$))[^/:\s]+")


def redacted(text: str, home: Path, names: Mapping[str, str]) -> str:
    """Return the text without secrets, users in URLs and foreign hosts; `names` maps words to what replaces them."""
    text = redact(text)
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
