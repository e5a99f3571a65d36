"""Who is calling: what authentication has established about a request."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A participant in a room, from a verified token, the URL and the `Meshagent-Session` header.

    `models` are the token's `provider/model` patterns; None allows every model. `agent` is the product name of the
    User-Agent, "" where unknown.
    """

    project_id: str
    room: str
    session: str
    participant: str
    key_id: str
    agent: str
    models: tuple[str, ...] | None
