"""The token spec as data: what a participant token is made from. Reading one is `tokens.spec`, which imports more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from meshproxy_cli.tokens.jws import Json

MAX_SPEC: Final = 65_536  # characters, and bytes of a file; the token made of it has to fit in a header


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """A checked spec. `api` maps a granted section's name to its fields that are not the default, in scope order.

    `ignored` names keys at the top of a newer spec that have no place in a token.
    """

    identity: str
    room: str | None = None
    role: str | None = None
    api: Mapping[str, Json] = field(default_factory=dict)
    ignored: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def for_room(cls, identity: str, room: str) -> Self:
        """Return the least spec with which a coding agent can use models through a room."""
        return cls(identity, room, None, {"llm": {}})


@dataclass(frozen=True, slots=True)
class Override:
    """A value from the command line that goes over the file's; `option` is what the person typed, for messages."""

    path: tuple[str, ...]
    value: Json
    option: str
