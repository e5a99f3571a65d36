"""Send one prompt to a room, OpenAI-style and Anthropic-style, and print the answers as they stream in.

Only the standard library: it shows what any program does that speaks one of the two protocols. The variables come
from `eval "$(meshproxy env --room my-room)"`.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

OPENAI_MODEL = os.environ.get("OPENAI_MODEL", "gpt-5.4")
ANTHROPIC_MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-sonnet-4-6")


def events(url: str, headers: dict[str, str], body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the events of a streamed answer."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers | {"Content-Type": "application/json"})  # noqa: S310 (http by design)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (http by design)
        for line in answer:
            if line.startswith(b"data: {"):
                yield json.loads(line.removeprefix(b"data: "))


def session_headers() -> dict[str, str]:
    """Return the lines of ANTHROPIC_CUSTOM_HEADERS, among them `Meshagent-Session`."""
    lines = os.environ.get("ANTHROPIC_CUSTOM_HEADERS", "Meshagent-Session: example").splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines) if value}


def ask_openai(prompt: str) -> Iterator[str]:
    """Yield the answer's text from the Responses API."""
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}", **session_headers()}
    body = {"model": OPENAI_MODEL, "input": prompt, "stream": True}
    for event in events(f"{os.environ['OPENAI_BASE_URL']}/responses", headers, body):
        if event["type"] == "response.output_text.delta":
            yield event["delta"]


def ask_anthropic(prompt: str) -> Iterator[str]:
    """Yield the answer's text from the Messages API."""
    headers = {
        "Authorization": f"Bearer {os.environ['ANTHROPIC_AUTH_TOKEN']}",
        "anthropic-version": "2023-06-01",
        **session_headers(),
    }
    messages = [{"role": "user", "content": prompt}]
    body = {"model": ANTHROPIC_MODEL, "max_tokens": 256, "messages": messages, "stream": True}
    for event in events(f"{os.environ['ANTHROPIC_BASE_URL']}/v1/messages", headers, body):
        if event["type"] == "content_block_delta":
            yield event["delta"].get("text", "")


def main() -> None:
    """Ask both and print what comes."""
    prompt = " ".join(sys.argv[1:]) or "Say hello."
    for name, ask in (("OpenAI-style", ask_openai), ("Anthropic-style", ask_anthropic)):
        sys.stdout.write(f"{name}: ")
        for text in ask(prompt):
            sys.stdout.write(text)
            sys.stdout.flush()
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
