"""Which models a token, or a room, allows."""

WILDCARD = "*"


def model_allowed(patterns: tuple[str, ...] | None, provider: str, model: str) -> bool:
    """Whether `provider/model` matches one of `patterns` (None: every model is allowed; empty: none is).

    `provider` is the protocol's name, "openai" or "anthropic". A pattern is a name, or the beginning of one
    followed by `*`; a `*` anywhere else stands for itself, as in MeshAgent.
    """
    if not provider or not model:
        return False
    if patterns is None:
        return True
    name = f"{provider}/{model}"
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    if pattern.endswith(WILDCARD):
        return name.startswith(pattern.removesuffix(WILDCARD))
    return name == pattern
