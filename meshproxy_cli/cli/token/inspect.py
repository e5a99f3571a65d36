"""`meshproxy token inspect`."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.token.shown import as_data
from meshproxy_cli.errors import CredentialError, ExitCode, UnavailableError, UsageError
from meshproxy_cli.settings.credentials import active_api_key
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import (
    ParticipantToken,
    TokenError,
    TokenProblem,
    check_times,
    decode_unverified,
    verify,
)
from meshproxy_cli.tokens.reading import as_spec, grants_in_words, refusals


@dataclass(frozen=True, slots=True)
class _KeyAtHand:
    """The API key of this machine as what verifies a token."""

    id: str
    project_id: str
    secret: str = field(repr=False)
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class _Finding:
    """`signature` is "valid", "invalid" or "unchecked"; `reasons` say why the Room Proxy would refuse the token."""

    token: ParticipantToken
    signature: str
    reasons: tuple[str, ...]

    @property
    def accepted(self) -> bool | None:
        """Whether the Room Proxy would accept it; None where the key to find out is not at hand."""
        return False if self.reasons else None if self.signature == "unchecked" else True


def inspect(
    *,
    token: Annotated[
        str | None, typer.Argument(metavar="[TOKEN|-]", help="The token; `-` or nothing is standard input.")
    ] = None,
    room: Annotated[str | None, options.room("Would it be accepted for this room?")] = None,
    model: Annotated[str | None, options.model("Would it be accepted for this model (`openai/gpt-5.4`)?")] = None,
    key_file: Annotated[Path | None, options.file("--key-file", text="API key to verify it with.")] = None,
    server: Annotated[str | None, options.server("The server whose key verifies it.")] = None,
    as_json: options.Json = False,
) -> None:
    """Say who a token is for, which room, what it may do, when it ends and whether the Room Proxy would accept it.

    Its signature is checked where the API key that made it is at hand (`--key-file`, `MESHAGENT_API_KEY`, the
    keyring). The token itself is never printed. The exit code is 3 where the Room Proxy would refuse it.

    **Examples**

    - `meshproxy token get --room my-room | meshproxy token inspect`
    - `meshproxy token inspect - --room my-room --model openai/gpt-5.4 < token.txt`
    """
    text = _read(token, key_file)
    now = int(time.time())
    finding = _examine(text, now, lambda: _key_at_hand(server, key_file), room, model)
    if as_json:
        output.data(_as_json(finding))
    else:
        for label, line in _in_words(finding, now):
            output.text(f"{label:<13}{line}".rstrip())
    if finding.accepted is False:
        raise typer.Exit(ExitCode.CREDENTIAL)


def _read(token: str | None, key_file: Path | None) -> str:
    if token not in {None, "-"}:
        return str(token).strip()
    if str(key_file) == "-":
        raise UsageError("only one of the token and --key-file can be standard input")
    if token is None and sys.stdin.isatty():
        raise UsageError(
            "there is no token to inspect", hint="pipe one in: meshproxy token get | meshproxy token inspect"
        )
    return output.read_secret_stdin()


def _key_at_hand(server: str | None, key_file: Path | None) -> ApiKey | None:
    """Return the active API key; that there is none, or no keyring, only leaves the signature unchecked."""
    try:
        name = context.settings().server(server).name
        return ApiKey.parse(active_api_key(name, context.secrets(), os.environ, key_file=key_file).value)
    except (CredentialError, UnavailableError) as problem:
        if key_file is not None:
            raise
        output.detail(f"the signature is not checked: {problem.message}")
        return None


def _examine(
    text: str, now: int, find_key: Callable[[], ApiKey | None], room: str | None, model: str | None
) -> _Finding:
    token = decode_unverified(text)
    key = find_key()
    found = None if key is None else _KeyAtHand(key.id, key.project_id, key.secret)
    signature, reasons = "valid", refusals(token, room=room, model=model)
    try:
        verify(text, lambda key_id: found if found is not None and found.id == key_id else None, now=now)
    except TokenError as problem:
        if problem.reason is TokenProblem.UNKNOWN_KEY:
            return _Finding(token, "unchecked", (*_wrong_times(token, now), *reasons))
        if problem.reason is TokenProblem.BAD_SIGNATURE:
            signature = "invalid"
        reasons = (problem.message, *reasons)
    return _Finding(token, signature, reasons)


def _wrong_times(token: ParticipantToken, now: int) -> tuple[str, ...]:
    try:
        check_times(token, now=now)
    except TokenError as problem:
        return (problem.message,)
    return ()


def _as_json(finding: _Finding) -> dict[str, Any]:
    token = finding.token
    return {
        **as_data(token),
        "signature": finding.signature,
        "accepted": finding.accepted,
        "reasons": list(finding.reasons),
        "spec": as_spec(token),
    }


def _in_words(finding: _Finding, now: int) -> list[tuple[str, str]]:
    token = finding.token
    grants = grants_in_words(token.scope) or ["nothing"]
    lines = [
        ("participant", f"{token.identity} ({token.role})"),
        ("room", token.room or "any room of the project"),
        *([("session", token.session)] if token.session else []),
        *[("may use" if index == 0 else "", line) for index, line in enumerate(grants)],
        *([("begins", _moment(token.not_before, now))] if token.not_before is not None else []),
        ("ends", "never" if token.expires_at is None else _moment(token.expires_at, now)),
        ("project", token.project_id),
        ("signed by", f"API key {token.key_id}"),
        ("signature", _SIGNATURES[finding.signature]),
    ]
    verdict = _VERDICTS[finding.accepted]
    return [*lines, ("Room Proxy", verdict), *[("", f"- {reason}") for reason in finding.reasons]]


_SIGNATURES: Final = {
    "valid": "valid",
    "invalid": "NOT that of this API key: it was changed, or made by somebody else",
    "unchecked": "not checked, as this API key is not at hand",
}
_VERDICTS: Final = {
    True: "would accept it, unless the API key was revoked",
    False: "would refuse it:",
    None: "would accept it if the signature is valid",
}


def _moment(at: int, now: int) -> str:
    try:
        text = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return f"{at} seconds after 1970, which no calendar shows"
    return f"{text} (in {_span(at - now)})" if at > now else f"{text} ({_span(now - at)} ago)"


def _span(seconds: int) -> str:
    units = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    parts = []
    for size, unit in units:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"
