"""Takes secrets out of text: what this process knows to be secret, and whatever looks like a credential.

Logs, diffs, `doctor` and error messages share this one module. Every pattern is a fixed start and one run of
characters, or of bounded length, so that a hostile text costs linear time.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

SHOWN: Final = "(secret)"
_SHORTEST: Final = 6  # a shorter value turns up by chance in words that are no secret
_NAMES_OF_SECRETS: Final = re.compile(
    r"(?i)(?:key|token|secret|passw(?:or)?d|credentials?|database_url|dsn|connection_string)$"
)

_OURS: Final = (
    r"ma-[\w.]{22}-[\w.]{1,22}(?:-[\w.~+/=-]*)?",  # API keys
    r"mpa_[\w-]{8,}",  # access tokens
    r"eyJ[\w-]{6,}(?:\.[\w-]*){0,4}",  # participant tokens and other JWTs, dashboard cookies
)
_OTHERS: Final = (
    r"(?:sk|pk|rk|mat|ms|key|sess|xai|pplx|nvapi|csk|tvly|glpat|gldt|pypi|sntrys|lin_api)[-_][\w-]{8,}",
    r"(?:gsk|hf|r8|fw|tgp_v\d|npm|dop_v\d|shpat|whsec|vck|dckr_pat|gh[a-z]|github_pat)_[\w-]{16,}",
    r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}",
    r"(?:ABSK|AIza|ya29\.|GOCSPX-|xox[a-z]-|SG\.)[\w.+/=-]{12,}",
)
# 32 random bytes in base64: master keys, and the secret of an API key by itself. An id or a hash has one case.
_RANDOM: Final = (
    r"(?<![\w+/-])(?=[\w+/-]{43}=?(?![\w+/=-]))(?=[\w+/-]*?[a-z])(?=[\w+/-]*?[A-Z])(?=[\w+/-]*?\d)[\w+/-]{43}=?"
)
_PRIVATE_KEY: Final = r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----[^-]*(?:-----END [A-Z ]{0,32}PRIVATE KEY-----)?"
# What follows these is secret whatever it looks like.
_AFTER: Final = (
    # A login in a URL. A password may hold a slash that should have been escaped, and a port is none.
    r"(?<=://)(?:[^/:@\s'\"<>\[]{0,256}:(?!\d{1,5}(?:[/?#]|$))[^\s'\"<>]{1,256}|[^/\s'\"<>]{1,512})@",
    r"(?i:(?<=\bbearer )|(?<=\bbasic ))[\w.~+/=-]{8,}",
)
_SHAPED: Final = re.compile("|".join((rf"\b(?:{'|'.join((*_OURS, *_OTHERS))})", _RANDOM, _PRIVATE_KEY, *_AFTER)))

# A reference to a secret (`env:NAME`), a variable, a command or a path is none.
_VALUE: Final = (
    r"(?!\(secret\)|(?:bearer|basic|token) |(?:env|keyring|file):|[$!/~{<(.*\[])"
    r"(?:(?<=\")[^\"\\\n]{6,}|(?<=')[^'\\\n]{6,}|[^\s\"',;&\\)}\]]{6,})"
)
_SEPARATOR: Final = r"[\"']?[ \t]{0,8}[:=][ \t]{0,8}[\"']?(?:(?i:bearer|basic|token) )?"
_STRICT: Final = (
    r"passw(?:or)?d|passwd|secret|authorization|api[-_]?key|apikey|access[-_]?key|private[-_]?key|master[-_]?key"
    r"|auth[-_]?token|access[-_]?token|refresh[-_]?token|room[-_]?token|id[-_]?token|meshproxy_session|cookie"
)
_WORDS: Final = ("passw", "secret", "authorization", "key", "token", "cookie", "meshproxy_session")
_NAMED: Final = re.compile(rf"(?i)((?:{_STRICT}){_SEPARATOR}){_VALUE}")
_NAMED_IN_SETTINGS: Final = re.compile(rf"(?i)((?:{_STRICT}|key|token|credential|pwd){_SEPARATOR}){_VALUE}")


class Redactor:
    """Call it with a text to get it without secrets; `values` are replaced wherever they stand."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        chosen = sorted({value for value in values if len(value) >= _SHORTEST}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, chosen))) if chosen else None

    def __call__(self, text: str) -> str:
        if self._values is not None:
            text = self._values.sub(SHOWN, text)
        return redact(text)


def redact(text: str) -> str:
    """Return a message or log line without what looks like a credential, or stands behind the name of one."""
    text = _SHAPED.sub(_replacement, text)
    lower = text.lower()
    # Most log lines hold none of these words, and looking for them takes a twentieth of the time.
    return _NAMED.sub(rf"\1{SHOWN}", text) if any(word in lower for word in _WORDS) else text


def redact_settings(text: str) -> str:
    """Return settings without credentials: there, whatever a name such as `key` or `token` holds is one."""
    return _NAMED_IN_SETTINGS.sub(rf"\1{SHOWN}", _SHAPED.sub(_replacement, text))


def holds_secret(text: str) -> bool:
    """Whether a text holds something that has the form of a credential."""
    return _SHAPED.search(text) is not None


def names_secret(variable: str) -> bool:
    """Whether an environment variable of that name holds a secret."""
    return _NAMES_OF_SECRETS.search(variable) is not None


def secret_values(environ: Mapping[str, str]) -> Iterable[str]:
    """Yield the values of the environment that are secret, by their names."""
    return (value for name, value in environ.items() if names_secret(name))


def _replacement(match: re.Match[str]) -> str:
    return f"{SHOWN}@" if match[0].endswith("@") else SHOWN
