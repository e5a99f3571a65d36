"""`meshproxy token generate`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.cli.token.shown import as_data
from meshproxy_cli.cli.token.times import parse_duration, parse_moment
from meshproxy_cli.errors import CredentialError, NotFoundError, UsageError
from meshproxy_cli.settings.credentials import API_KEY_VARIABLE, active_api_key
from meshproxy_cli.tokens.apikey import ApiKey
from meshproxy_cli.tokens.participant import decode_unverified, mint
from meshproxy_cli.tokens.spec import MAX_SPEC, Override, TokenSpec, parse_spec, spec_from_options

_STDIN = Path("-")
_PRIVATE = 0o600
_SPEC = "What the token says"
_KEY = "How it is signed"


def generate(
    *,
    spec: Annotated[
        Path | None,
        options.file("--spec", "--input", "-i", text="Token spec; `-` is standard input.", panel=_SPEC),
    ] = None,
    room: Annotated[str | None, options.room("The room.", panel=_SPEC)] = None,
    identity: Annotated[
        str | None,
        typer.Option(
            "--identity",
            metavar="NAME",
            help="The participant's name.",
            rich_help_panel=_SPEC,
            autocompletion=names.participants,
        ),
    ] = None,
    role: Annotated[
        str | None,
        typer.Option(
            "--role", metavar="ROLE", help="user, agent or tool.", rich_help_panel=_SPEC, autocompletion=names.roles
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change one value; may be repeated.", rich_help_panel=_SPEC),
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option(
            "--expires-in",
            metavar="TIME",
            help="End after `30m`, `8h`, `7d`.",
            rich_help_panel=_SPEC,
            autocompletion=names.lifetimes,
        ),
    ] = None,
    not_before: Annotated[
        str | None,
        typer.Option("--not-before", metavar="TIME", help="Begin in `1h`, or at a time.", rich_help_panel=_SPEC),
    ] = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="Sign keys unknown to this version too.", rich_help_panel=_SPEC)
    ] = False,
    without_llm: Annotated[
        bool, typer.Option("--without-llm", help="Sign a spec without `api.llm`.", rich_help_panel=_SPEC)
    ] = False,
    key_file: Annotated[
        Path | None,
        options.file("--key-file", text="API key; `-` is standard input.", panel=_KEY),
    ] = None,
    server: Annotated[str | None, options.server("The server whose key signs.", panel=_KEY)] = None,
    target: Annotated[
        Path | None,
        options.file("--output", "-o", text="Write it there (mode 0600).", panel=_KEY),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Sign a participant token from a token spec and print it, alone on standard output.

    The key comes from `--key-file`, `MESHAGENT_API_KEY` or the keyring. A token never expires unless `--expires-in`
    says so. Options go over what the file says; with `--room` and `--identity` no file is needed.

    **Examples**

    - `meshproxy token generate --spec token-spec.yaml --expires-in 8h`
    - `TOKEN="$(meshproxy token generate --room my-room --identity ci)"`
    - `meshproxy token generate -i token-spec.yaml --set api.llm.models='["openai/*"]' -o token.txt`
    - `gpg -d key.gpg | meshproxy token generate -i token-spec.yaml --key-file -`
    """
    if spec == _STDIN and key_file == _STDIN:
        raise UsageError("only one of --spec and --key-file can be standard input")
    overrides = _overrides({"room": room, "identity": identity, "role": role}, changes or [])
    checked = _read_spec(spec, overrides, allow_unknown=allow_unknown, require_llm=not without_llm)
    now = int(time.time())
    lifetime = None if expires_in is None else parse_duration(expires_in, "--expires-in")
    begin = None if not_before is None else parse_moment(not_before, "--not-before", now=now)
    if begin is not None and lifetime is not None and begin >= now + lifetime:
        raise UsageError("the token would end before it begins", hint="--expires-in counts from now: make it longer")
    token = mint(checked, _key(server, key_file), now=now, expires_in=lifetime, not_before=begin)
    _tell(checked, lifetime)
    _deliver(token, None if target == _STDIN else target, as_json=as_json)


def _overrides(named: dict[str, str | None], changes: list[str]) -> list[Override]:
    overrides = [Override((name,), value, f"--{name}") for name, value in named.items() if value is not None]
    return overrides + [_change(text) for text in changes]


def _change(text: str) -> Override:
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise UsageError(f"--set {text!r} is no KEY=VALUE", hint="such as --set api.llm.models='[\"openai/*\"]'")
    return Override(path, _value(value, text), f"--set {key}")


def _value(value: str, text: str) -> object:
    """Return a JSON value; what is none is a text, but not what was clearly meant to be JSON."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        if value.lstrip()[:1] in {"[", "{", '"'}:
            raise UsageError(f"--set {text!r}: the value is not valid JSON", hint="mind the shell's quotes") from None
        return value


def _read_spec(spec: Path | None, overrides: list[Override], *, allow_unknown: bool, require_llm: bool) -> TokenSpec:
    if spec is not None:
        source = "<stdin>" if spec == _STDIN else str(spec)
        return parse_spec(
            _read(spec, source), source, allow_unknown=allow_unknown, require_llm=require_llm, overrides=overrides
        )
    if not {("room",), ("identity",)} <= {override.path for override in overrides}:
        raise UsageError(
            "there is nothing to make a token from",
            hint="give --spec FILE (examples/token-spec.yaml is one to start from), or both --room and --identity",
        )
    return spec_from_options(overrides, allow_unknown=allow_unknown, require_llm=require_llm)


def _read(spec: Path, source: str) -> str:
    try:
        if spec == _STDIN:
            data = sys.stdin.buffer.read(MAX_SPEC + 1)
        else:
            with spec.open("rb") as file:
                data = file.read(MAX_SPEC + 1)
    except FileNotFoundError:
        raise NotFoundError(f"there is no token spec {source}") from None
    except OSError as problem:
        raise UsageError(f"{source} can't be read: {problem.strerror}") from None
    if len(data) > MAX_SPEC:
        raise UsageError(f"{source} is larger than {MAX_SPEC // 1024} KiB, which no token spec is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise UsageError(f"{source}:{line}:1: it is not UTF-8") from None


def _key(server: str | None, key_file: Path | None) -> ApiKey:
    from_elsewhere = key_file is not None or os.environ.get(API_KEY_VARIABLE, "").strip()
    name = "" if from_elsewhere and server is None else context.settings().server(server).name
    credential = active_api_key(name, context.secrets(), os.environ, key_file=key_file)
    output.detail(f"API key: from {credential.source}")
    try:
        return ApiKey.parse(credential.value)
    except CredentialError as problem:
        raise type(problem)(f"{problem.message} (from {credential.source})", hint=problem.hint) from None


def _tell(spec: TokenSpec, lifetime: int | None) -> None:
    for key in spec.ignored:
        output.warn(f'"{key}" has no place in a token of this version and was left out')
    if lifetime is None and sys.stderr.isatty():
        output.note("the token never expires; --expires-in 8h gives it an end")


def _deliver(token: str, target: Path | None, *, as_json: bool) -> None:
    if target is not None:
        _write(token, target)
    if as_json:
        output.data({"token": None if target else token, **as_data(decode_unverified(token))})
    elif target is None:
        output.text(token)


def _write(token: str, target: Path) -> None:
    from meshproxy_cli.configedit.atomic import replacing  # noqa: PLC0415 (only where a file is written)

    _make_private(target)
    with replacing(target, mode=_PRIVATE, parents=True) as file:
        file.write(f"{token}\n".encode())
    if target.is_file():
        output.success(f"wrote the token to {target}, which only you can read")


def _make_private(target: Path) -> None:
    """Take an old file from others before the token is in it, since a file that is replaced keeps its mode."""
    try:
        if target.is_file():
            target.chmod(_PRIVATE)
    except OSError as problem:
        raise UsageError(f"{target} can't be kept from others: {problem.strerror}") from None
