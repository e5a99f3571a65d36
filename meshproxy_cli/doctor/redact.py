"""Takes out of a report what must not be in one: secrets, and names that say who somebody is."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECRETS = re.compile(
    r"ma-[\w.]{22}-[\w.]{22}-[\w.~+/=-]+"  # API keys
    r"|eyJ[\w-]+\.[\w-]*\.?[\w-]*"  # tokens
    r"|\b(?:sk|pk|rk|mat|key)-[\w-]{8,}"  # providers' keys and access tokens
)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]+@")
_ADDRESSES = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_HOSTS = re.compile(r"(?<=://)(?!(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$))[^/:\s]+")


def redacted(text: str, home: Path, names: Mapping[str, str]) -> str:
    """Return the text without secrets, users in URLs and foreign hosts; `names` maps words to what replaces them."""
    text = _SECRETS.sub("(secret)", text)
    text = _USER_IN_URL.sub("", text)
    text = _ADDRESSES.sub("EMAIL", text)
    text = _HOSTS.sub("HOST", text)
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
