"""Results of a message batch: lines of JSON, each the result of one request, billed at the batch rate.

The provider's work is billed once, but its results may be fetched again and again. So their events have ids made from
the results themselves: the store leaves out what it has.
"""

import hashlib
import uuid
from collections import Counter

from meshproxy_cli.proxy.usage.anthropic import searches_of, tokens_of
from meshproxy_cli.proxy.usage.bounded_buffer import BoundedBuffer
from meshproxy_cli.proxy.usage.dialect import parse
from meshproxy_cli.proxy.usage.numbers import name_of, region_of, section, summed
from meshproxy_cli.proxy.usage.reading import ModelShare, Reading
from meshproxy_cli.store.events import TokenCounts

_MOST_MODELS = 100


class BatchMeter:
    """Adds up the results of a batch, by model."""

    ended = False

    def __init__(self) -> None:
        self._held = BoundedBuffer()
        self._tokens: dict[tuple[str, str], TokenCounts] = {}  # by model and region
        self._searches: Counter[tuple[str, str]] = Counter()
        self._first_message = ""
        self._unreadable = False

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the body."""
        held = self._held
        held.add(data)
        if b"\n" in data:
            clipped = held.clipped
            lines = held.take(held.buffer.rfind(b"\n") + 1)
            self._unreadable |= clipped
            for line in lines.splitlines():
                self._read(line)

    def finish(self) -> Reading:
        """Say what was used; nothing where the results broke off: then they will be fetched again."""
        self._read(bytes(self._held.buffer))
        if self._unreadable:
            return Reading(metered=False)
        shares = [
            ModelShare(model=model, tokens=tokens, web_searches=self._searches[model, region], region=region)
            for (model, region), tokens in sorted(self._tokens.items())
        ]
        if not shares:
            return Reading(tokens=TokenCounts(), complete=True, service_tier="batch")
        return Reading(
            tokens=shares[0].tokens,
            model=shares[0].model,
            web_searches=shares[0].web_searches,
            region=shares[0].region or "",
            service_tier="batch",
            complete=True,
            shares=tuple(shares[1:]),
            event_ids=tuple(self._event_id(share) for share in shares),
        )

    def _read(self, line: bytes) -> None:
        if not line.strip():
            return
        result = parse(line)
        self._unreadable |= not result
        message = section(section(result, "result"), "message")
        if not message:
            return
        self._first_message = self._first_message or name_of(message, "id")
        usage = section(message, "usage")
        key = name_of(message, "model"), region_of(usage)
        if key in self._tokens or len(self._tokens) < _MOST_MODELS:
            self._tokens[key] = summed(self._tokens.get(key, TokenCounts()), tokens_of(usage))
            self._searches[key] += searches_of(usage)
        else:
            self._unreadable = True

    def _event_id(self, share: ModelShare) -> str:
        parts = (self._first_message, share.model, share.region)
        digest = hashlib.sha256("\n".join(filter(None, parts)).encode(errors="replace")).digest()
        return str(uuid.UUID(bytes=digest[:16], version=5))
