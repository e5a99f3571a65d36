"""The configuration of this machine's server: read whole and checked, at the start and again for each reload."""

import os
from dataclasses import dataclass
from pathlib import Path

from meshproxy_cli.cli import context
from meshproxy_cli.errors import UsageError
from meshproxy_cli.proxy.config import load_config
from meshproxy_cli.proxy.reload import Loaded
from meshproxy_cli.proxy.tls import tls_context
from meshproxy_cli.proxy.usage.pricing import price_book
from meshproxy_cli.settings.references import check_reference, resolve_reference


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where the configuration lies: `chosen` is None where nobody named a file, and then there need be none."""

    chosen: Path | None
    tls_cert: str = ""
    tls_key: str = ""

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

        tls_context(self.tls_cert, self.tls_key)
        text = self._text()
        config = load_config(text, os.environ, resolve)
        price_book(config)
        return Loaded(text, secrets, config)

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
            raise UsageError(f"there is no file {self.chosen}") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"{self.path} can't be read: {problem}") from None
