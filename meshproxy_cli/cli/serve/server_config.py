"""The configuration of this machine's server: read whole and checked, at the start and again for each reload."""

import os
import shlex
import stat
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

_ALLOW_WRITABLE = "MESHPROXY_ALLOW_WRITABLE_CONFIG"


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

    def _check_writers(self, mode: int) -> None:
        """Refuse a file that others can write: they could send the provider's key wherever they like."""
        if os.name != "posix" or os.environ.get(_ALLOW_WRITABLE, "") not in {"", "0"}:
            return
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise UsageError(
                f"permissions of {self.path} are too open: other users can write it (mode {stat.S_IMODE(mode):04o})",
                hint=f"chmod go-w {shlex.quote(str(self.path))}, or to allow it set {_ALLOW_WRITABLE}=1",
            )

    def _text(self) -> str:
        try:
            with self.path.open(encoding="utf-8-sig") as file:
                self._check_writers(os.fstat(file.fileno()).st_mode)
                return file.read()
        except FileNotFoundError:
            if self.chosen is None:
                return ""
            raise NotFoundError(f"there is no file {self.chosen}") from None
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"{self.path} can't be read: {problem}") from None
