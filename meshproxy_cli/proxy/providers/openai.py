"""OpenAI's protocol, and Codex's form of the list of models."""

from collections.abc import Callable

import msgspec

# Codex decodes `{"models": […]}` and keeps its own metadata where that is empty; OpenAI's list would fail to decode.
CODEX_MODELS = b'{"models":[]}'


class OpenAIDialect:
    """See `providers.Dialect`."""

    def credential(self, key: str) -> tuple[str, str]:
        """Return OpenAI's bearer header."""
        return "authorization", f"Bearer {key}"

    def narrow(self, body: bytes, keep: Callable[[str], bool]) -> bytes:
        """Return the list with the entries to keep; every entry keeps its bytes."""
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        entries = msgspec.json.decode(members["data"], type=list[msgspec.Raw]) if "data" in members else []
        kept = [entry for entry in entries if keep(entry_id(entry))]
        return msgspec.json.encode({**members, "data": kept})


def entry_id(entry: msgspec.Raw) -> str:
    """Return the `id` of a list's entry; "" where it has none."""
    found = msgspec.json.decode(entry)
    return str(found.get("id", "")) if isinstance(found, dict) else ""
