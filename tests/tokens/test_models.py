"""Which models a list of patterns allows."""

import pytest

from meshproxy_cli.tokens.models import model_allowed


@pytest.mark.parametrize(
    ("patterns", "provider", "model", "allowed"),
    [
        (None, "openai", "gpt-5.4", True),
        ((), "openai", "gpt-5.4", False),
        (("openai/gpt-5.4",), "openai", "gpt-5.4", True),
        (("openai/gpt-5.4",), "openai", "gpt-5.4-mini", False),
        (("openai/gpt-5.4",), "anthropic", "gpt-5.4", False),
        (("openai/gpt-5.4", "anthropic/claude-*"), "anthropic", "claude-sonnet-5", True),
        (("anthropic/claude-*",), "anthropic", "claude-", True),
        (("anthropic/claude-*",), "anthropic", "claude", False),
        (("openai/*",), "openai", "ft:gpt/x", True),
        (("*",), "openai", "gpt-5.4", True),
        (("open*",), "openai", "gpt-5.4", True),
        (("openai/*-mini",), "openai", "gpt-5.4-mini", False),
        (("openai/*-mini",), "openai", "*-mini", True),
        (("openai/gpt-**",), "openai", "gpt-5", False),
        (("openai/GPT-5",), "openai", "gpt-5", False),
        (("openai/gpt-5",), "openai", "gpt-5 ", False),
        (None, "openai", "", False),
        (None, "", "gpt-5", False),
        (("*",), "openai", "", False),
    ],
)
def test_patterns(patterns: tuple[str, ...] | None, provider: str, model: str, *, allowed: bool) -> None:
    assert model_allowed(patterns, provider, model) is allowed
