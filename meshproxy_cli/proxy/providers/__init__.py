"""What differs between providers: the credential's header, the shapes of lists, and the built-in echo provider."""

from collections.abc import Callable
from typing import Protocol

from meshproxy_cli.proxy.core.routes import Protocol as ProviderProtocol
from meshproxy_cli.proxy.providers.anthropic import AnthropicDialect
from meshproxy_cli.proxy.providers.openai import OpenAIDialect


class Dialect(Protocol):
    """A provider's protocol as far as the proxy has to speak it."""

    def credential(self, key: str) -> tuple[str, str]:
        """Return the header, name and value, that carries the provider's key."""

    def narrow(self, body: bytes, keep: Callable[[str], bool]) -> bytes:
        """Return a list answer (`{"data": […]}`) with the entries whose id is to be kept; raises `ValueError`."""


DIALECTS: dict[ProviderProtocol, Dialect] = {"openai": OpenAIDialect(), "anthropic": AnthropicDialect()}
