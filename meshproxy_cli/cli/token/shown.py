"""A token as `--json` shows it, without its text."""

from typing import Any

from meshproxy_cli.tokens.claims import ParticipantToken


def as_data(token: ParticipantToken) -> dict[str, Any]:
    """Return what a token says; times are Unix seconds, and `models` is None where every model is allowed."""
    return {
        "identity": token.identity,
        "role": token.role,
        "room": token.room,
        "session": token.session,
        "llm": token.llm,
        "models": None if token.models is None else list(token.models),
        "not_before": token.not_before,
        "expires_at": token.expires_at,
        "key_id": token.key_id,
        "project_id": token.project_id,
        "token_version": token.version,
    }
