"""`meshproxy provider`: the providers of this machine's Room Proxy, and the team's keys for them."""

import os
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from meshproxy_cli.cli import context, options, output
from meshproxy_cli.cli.completion import names
from meshproxy_cli.client.provider import ask_models
from meshproxy_cli.errors import ExitCode, MeshproxyError, NotFoundError
from meshproxy_cli.settings.providers import (
    DEFAULT_URLS,
    ProviderEntry,
    add_provider,
    make_provider,
    read_providers,
    remove_provider,
)
from meshproxy_cli.settings.references import is_reference, resolve_reference
from meshproxy_cli.suggest import did_you_mean

_KEYRING = "keyring:"


def add(
    protocol: Annotated[
        str, typer.Argument(help="The provider's protocol: openai or anthropic.", autocompletion=names.protocols)
    ],
    *,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="-",
            help="`-` reads the key from standard input; env:NAME or file:PATH refers to it. Asked for if left out.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Its name here (default: the protocol).")
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="Its base URL, as its SDK has it (OpenAI's ends in /v1)."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Change one that has another URL.")] = False,
    insecure_http: Annotated[
        bool, typer.Option("--insecure-http", help="Allow plain http:// to another machine.")
    ] = False,
) -> None:
    """Add a provider to this machine's server.

    The key goes to the OS keyring, and a reference to it into `server.toml`.

    **Examples**

    - `meshproxy provider add openai --api-key - < key.txt`
    - `meshproxy provider add openai --name vllm --base-url http://127.0.0.1:8000/v1 --api-key env:VLLM_KEY`
    """
    reference = api_key if api_key is not None and is_reference(api_key) else None
    entry = make_provider(protocol, name=name, base_url=base_url, key=reference, insecure_http=insecure_http)
    key = context.read_secret(api_key, option="--api-key") if reference is None else None

    def keep_key() -> None:
        if key is not None:
            context.secrets().set(f"provider/{entry.name}", key)

    changed = add_provider(context.paths(), entry, replace=replace, keep_key=keep_key)
    output.success(f"{'added' if changed else 'kept'} the provider {entry.name} ({entry.base_urls[0]})")
    output.note(f"see whether it answers: meshproxy provider test {entry.name}")
    if changed or key is not None:
        output.note("a `meshproxy serve` that runs already uses it from now on with: meshproxy reload")


def list_(
    as_json: options.Json = False,
) -> None:
    """List the providers of this machine's server, and where their keys lie.

    **Example**

    - `meshproxy provider list`
    """
    providers = read_providers(context.paths(), os.environ)
    if as_json:
        output.data({"providers": [_as_json(provider) for provider in providers]})
        return
    if not providers:
        output.note("there is no provider: `meshproxy serve` answers with its built-in echo provider")
        output.note("add one: meshproxy provider add openai --api-key -")
        return
    columns = [output.Column(title) for title in ("Name", "Protocol", "URL", "Keys")]
    rows = [(p.name, p.protocol, ", ".join(p.base_urls), ", ".join(p.keys) or "-") for p in providers]
    output.table(
        [*columns, output.Column("From", fold=True)], [(*row, p.origin) for row, p in zip(rows, providers, strict=True)]
    )


def try_(
    name: Annotated[
        str | None, typer.Argument(help="A provider's name (default: all).", autocompletion=names.providers)
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Ask a provider for its models with the team's key, and say what came back.

    The request costs nothing and sends no prompt. The exit code is 0 only if every key works.

    **Examples**

    - `meshproxy provider test`
    - `meshproxy provider test openai --json`
    """
    with output.progress("asking for models"):
        trials = [
            _try(provider, url, key)
            for provider in _chosen(name)
            for url in provider.base_urls
            for key in provider.keys or ("",)
        ]
    if as_json:
        output.data({"tests": [trial.as_json() for trial in trials]})
    else:
        for trial in trials:
            trial.tell()
    return max((trial.code for trial in trials), default=ExitCode.OK)


def remove(
    name: Annotated[str, typer.Argument(help="A provider's name.", autocompletion=names.providers)],
) -> None:
    """Remove a provider, and its key from the keyring.

    **Example**

    - `meshproxy provider remove openai`
    """
    paths = context.paths()
    references = remove_provider(paths, name)
    still_used = {key for provider in read_providers(paths, {}) for key in provider.keys}
    secrets = context.secrets()
    for reference in references:
        if reference.startswith(_KEYRING) and reference not in still_used:
            secrets.delete(reference.removeprefix(_KEYRING))
    output.success(f"removed the provider {name}")
    output.note("a `meshproxy serve` that runs uses it until: meshproxy reload")
    output.note("a key that nobody uses any more is best revoked at the provider, too")


@dataclass(frozen=True, slots=True)
class _Trial:
    provider: ProviderEntry
    url: str
    reference: str
    models: tuple[str, ...] = ()
    seconds: float = 0.0
    problem: MeshproxyError | None = None

    @property
    def code(self) -> ExitCode:
        return self.problem.exit_code if self.problem else ExitCode.OK

    def tell(self) -> None:
        title = f"{self.provider.name} ({self.url}, {self.reference or 'no key'})"
        if self.problem is not None:
            output.error(type(self.problem)(f"{title}: {self.problem.message}", hint=self.problem.hint))
        else:
            some = ", ".join(self.models[:3]) + (", …" if len(self.models) > 3 else "")  # noqa: PLR2004 (an excerpt)
            output.text(f"{title}: works, {len(self.models)} models in {self.seconds * 1000:.0f} ms ({some})")

    def as_json(self) -> dict[str, Any]:
        return {
            "provider": self.provider.name,
            "base_url": self.url,
            "key": self.reference or None,
            "ok": self.problem is None,
            "models": list(self.models),
            "seconds": round(self.seconds, 3),
            "error": self.problem.message if self.problem else None,
        }


def _try(provider: ProviderEntry, url: str, reference: str) -> _Trial:
    try:
        if not reference and not provider.headers and url == DEFAULT_URLS[provider.protocol]:
            raise NotFoundError("no key is configured", hint=f"meshproxy provider add {provider.protocol} --api-key -")
        key = _resolve(reference) if reference else ""
        answer = ask_models(provider.protocol, url, key, _headers(provider))
    except MeshproxyError as problem:
        return _Trial(provider, url, reference, problem=problem)
    return _Trial(provider, url, reference, answer.models, answer.seconds)


def _headers(provider: ProviderEntry) -> dict[str, str]:
    if not provider.headers:
        return {}
    from meshproxy_cli.proxy.config.provider_headers import read_headers  # noqa: PLC0415 (where a proxy is installed)

    return read_headers(provider.headers, _resolve)


def _resolve(reference: str) -> str:
    return resolve_reference(reference, context.secrets(), os.environ)


def _chosen(name: str | None) -> tuple[ProviderEntry, ...]:
    providers = read_providers(context.paths(), os.environ)
    chosen = tuple(provider for provider in providers if name in {None, provider.name})
    if not chosen:
        known = [provider.name for provider in providers]
        known_are = f"known are {', '.join(known)}; " if known else ""
        raise NotFoundError(
            f"there is no provider named {name!r}{did_you_mean(name, known)}" if name else "there is no provider",
            hint=f"{known_are}add one: meshproxy provider add openai --api-key -",
        )
    return chosen


def _as_json(provider: ProviderEntry) -> dict[str, Any]:
    return {
        "name": provider.name,
        "protocol": provider.protocol,
        "base_urls": list(provider.base_urls),
        "keys": list(provider.keys),
        "origin": provider.origin,
    }
