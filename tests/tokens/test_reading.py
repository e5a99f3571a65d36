"""What a token means, in words."""

import pytest

from meshproxy_cli.tokens.claims import ParticipantToken
from meshproxy_cli.tokens.reading import grants_in_words, refusals


def token(*, llm: bool = True, models: tuple[str, ...] | None = None, room: str | None = "r") -> ParticipantToken:
    return ParticipantToken(
        identity="ana",
        room=room,
        role="user",
        key_id="k",
        project_id="p",
        llm=llm,
        models=models,
        expires_at=None,
        not_before=None,
        version="",
        scope={},
    )


@pytest.mark.parametrize(
    ("found", "room", "model", "accepted"),
    [
        (token(), "r", "openai/gpt-5", True),
        (token(), None, None, True),
        (token(room=None), "anything", None, True),
        (token(), "R", None, False),
        (token(llm=False), "r", None, False),
        (token(llm=False), None, "openai/gpt-5", False),
        (token(models=("openai/*",)), "r", "openai/gpt-5", True),
        (token(models=("openai/*",)), "r", "gpt-5", True),
        (token(models=("openai/*",)), "r", "anthropic/claude", False),
        (token(models=("anthropic/claude-*",)), "r", "claude-x", True),
        (token(models=()), "r", "gpt-5", False),
    ],
)
def test_would_the_room_proxy_accept_it(
    found: ParticipantToken, room: str | None, model: str | None, *, accepted: bool
) -> None:
    assert (not refusals(found, room=room, model=model)) is accepted


def test_grants_in_words() -> None:
    scope = {
        "queues": {"send": ["jobs"], "receive": [], "list": False},
        "storage": {"paths": [{"path": "/a", "read_only": True}, {"path": "/b"}], "files": {}},
        "llm": {},
        "newer": {"x": 1},
    }
    assert grants_in_words(scope) == [
        "queues: message queues (send only jobs; receive none; no list)",
        "storage: files of the room (paths only /a (read only), /b; files as in its spec)",
        "llm: models, through the Room Proxy",
        "newer: not known to this version of meshproxy",
    ]
