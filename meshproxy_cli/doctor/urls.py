"""A room's URLs, as agents are given them."""

from urllib.parse import quote


def base_url(server_url: str, room: str, protocol: str) -> str:
    """Return the base URL for clients of a protocol: OpenAI's ends in /v1, Anthropic's does not."""
    path = "openai/v1" if protocol == "openai" else "anthropic"
    return f"{server_url}/rooms/{quote(room, safe='')}/{path}"
