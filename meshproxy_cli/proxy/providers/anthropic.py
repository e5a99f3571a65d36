"""Anthropic's protocol."""

from collections.abc import Callable

import msgspec

from meshproxy_cli.proxy.providers.openai import entry_id


class AnthropicDialect:
    """See `providers.Dialect`."""

    def credential(self, key: str) -> tuple[str, str]:
        """Return Anthropic's key header."""
        return "x-api-key", key

    def narrow(self, body: bytes, keep: Callable[[str], bool]) -> bytes:
        """Return the list with the entries to keep, and the ids of the first and last of them."""
        members: dict[str, object] = dict(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))
        data = members.get("data")
        entries = msgspec.json.decode(data, type=list[msgspec.Raw]) if isinstance(data, msgspec.Raw) else []
        kept = [entry for entry in entries if keep(entry_id(entry))]
        members["data"] = kept
        # The cursor of the next page stays the provider's: what was left out must not end the paging.
        if "first_id" in members:
            members["first_id"] = entry_id(kept[0]) if kept else None
        return msgspec.json.encode(members)
