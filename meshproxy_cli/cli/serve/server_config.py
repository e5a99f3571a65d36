"""The configuration of this machine's server: read whole and checked, at the start and again for each reload."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from meshproxy_cli.cli import context
from meshproxy_cli.errors import NotFoundError, UsageError
from meshproxy_cli.proxy.config.server import Listening, ServerConfig, load_config
from meshproxy_cli.proxy.process.reload import Loaded
from meshproxy_cli.proxy.process.tls import tls_context
from meshproxy_cli.proxy.usage.pricing import price_book
from meshproxy_cli.settings.references import check_reference, resolve_reference


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where the configuration lies: `chosen` is None where nobody named a file, and then there need be none.

    `given`: the fields of `Listening` that were given as options, which come before the file.
    """

    chosen: Path | None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The file, whether it is there or not."""
        return (self.chosen or context.paths().server_file).absolute()

    def read(self) -> Loaded:
        """Read and check everything: the file, its references, prices, certificate. Raises `MeshproxyError`."""
        secrets: dict[str, str] = {}
        store = context.secrets()

        def resolve(reference: str) -> str:
            if reference not in secrets:
                secrets[reference] = resolve_reference(reference, store, os.environ)
            return secrets[reference]

        text = self._text()
        config = load_config(text, os.environ, resolve)
        listening = self.listening(config)
        tls_context(listening.tls_cert, listening.tls_key)
        price_book(config)
        return Loaded(text, secrets, config)

    def listening(self, config: ServerConfig) -> Listening:
        """Return how to start, from the options and the file."""
        return replace(config.server, **self.given)

    def check_form(self) -> None:
        """Check the file for another process: where references lead, that one alone knows. Raises `UsageError`."""

        def stand_in(reference: str) -> str:
            check_reference(reference)
            return "stand-in"

        load_config(self._text(), {}, stand_in)

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8-sig")
        except FileNotFoundError:
            if self.chosen is None:
                return ""
            raise NotFoundError(f"there is no file {self.chosen}") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"{self.path} can't be read: {problem}") from None
