"""The token spec: what a participant token is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from meshproxy_cli.tokens.jws import Json


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """A checked spec. `api` maps a granted section's name to its fields that are not the default, in scope order."""

    identity: str
    room: str | None = None
    role: str | None = None
    api: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def for_room(cls, identity: str, room: str) -> Self:
        """Return the least spec with which a coding agent can use models through a room."""
        return cls(identity, room, None, {"llm": {}})


def parse_spec(
    text: str, source: str = "token-spec.yaml", *, allow_unknown: bool = False, require_llm: bool = True
) -> TokenSpec:
    """Read a spec from YAML; raise `SpecError` with every problem at once, each with its place in the text.

    `source` is what the places are called; `allow_unknown` signs sections and fields that are not known here as they
    are; `require_llm` refuses a spec without `api.llm`.
    """
    from meshproxy_cli.tokens.specfile import read_spec  # noqa: PLC0415 (YAML is not imported for `token get`)

    return read_spec(text, source, allow_unknown=allow_unknown, require_llm=require_llm)
