"""Live checks: one short streamed request for each protocol, through the room, to the provider and into the usage."""

import json
import time
from typing import Any

from meshproxy_cli.doctor.ask import Reply, ask
from meshproxy_cli.doctor.check import Outcome, bad, doubtful, good
from meshproxy_cli.doctor.room import error_code, error_message
from meshproxy_cli.doctor.scene import SESSION, Scene
from meshproxy_cli.errors import MeshproxyError

_LIMIT_S = 60.0
_EVENT_LIMIT_S = 5.0
_DEFAULT_MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5"}
_SPEAKERS = {"claude": "anthropic"}
_KEY_REFUSED = {401, 403}
_TOO_MANY = 429
_OK = 200
_MOST_TOKENS = 16


def openai(scene: Scene) -> Outcome:
    """Ask an OpenAI model for a word."""
    model = _model(scene, "openai")
    body = {"model": model, "input": "Say: ok", "stream": True, "store": False, "max_output_tokens": _MOST_TOKENS}
    return _try(scene, "openai", "/responses", body)


def anthropic(scene: Scene) -> Outcome:
    """Ask an Anthropic model for a word."""
    messages = [{"role": "user", "content": "Say: ok"}]
    body = {"model": _model(scene, "anthropic"), "max_tokens": _MOST_TOKENS, "messages": messages, "stream": True}
    return _try(scene, "anthropic", "/v1/messages", body)


def _model(scene: Scene, protocol: str) -> str:
    """Return the model that an agent was configured with, else a small one that most teams have."""
    chosen = (one.model for one in reversed(scene.here) if one.model and _SPEAKERS.get(one.agent, "openai") == protocol)
    return next(chosen, _DEFAULT_MODELS[protocol])


def _try(scene: Scene, protocol: str, path: str, body: dict[str, Any]) -> Outcome:
    headers = {
        "Authorization": f"Bearer {scene.token}",
        "Meshagent-Session": SESSION,
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
    }
    if protocol == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    url = scene.base_url(protocol) + path
    reply = ask("POST", url, headers, json.dumps(body).encode(), limit_s=_LIMIT_S)
    if reply.status != _OK or b"event: error" in reply.body or b"response.failed" in reply.body:
        return _milder(scene, protocol, _explained(protocol, reply, str(body["model"])))
    found = f"{body['model']} answered: first byte after {reply.first_s * 1000:.0f} ms"
    return _counted(scene, reply, found)


def _milder(scene: Scene, protocol: str, outcome: Outcome) -> Outcome:
    """Make a warning of a failure that no configured agent would meet."""
    used = {_SPEAKERS.get(one.agent, "openai") for one in scene.here}
    if used and protocol not in used:
        return doubtful(f"{outcome.found} (no configured agent uses it)", outcome.remedy, advice=outcome.advice)
    return outcome


def _explained(protocol: str, reply: Reply, model: str) -> Outcome:
    code, said = error_code(reply), error_message(reply)
    if code == "no_provider":
        return bad(said, f"meshproxy provider add {protocol} --api-key -")
    if code in {"provider_unreachable", "provider_timeout"}:
        return bad(said, "meshproxy provider test")
    if code == "model_not_allowed" or "does not allow" in said:
        return bad(
            said, advice="allow it (`meshproxy room set`), or choose another model (`meshproxy configure … --model`)"
        )
    if reply.status in _KEY_REFUSED:
        found = f"the provider refuses the team's key ({reply.status}): {said}"
        return bad(
            found,
            f"meshproxy provider add {protocol} --replace --api-key -",
            advice="then start `meshproxy serve` anew",
        )
    if reply.status == _TOO_MANY:
        return bad(f"refused for now (429): {said}", "meshproxy limit list")
    return bad(f"{model}: {reply.status} {said}", advice="that is the provider's own answer")


def _counted(scene: Scene, reply: Reply, found: str) -> Outcome:
    request_id = reply.headers.get("meshproxy-request-id", "")
    deadline = time.monotonic() + _EVENT_LIMIT_S
    try:
        with scene.client() as client:
            while True:
                tokens = scene.desk.tokens_of(client, scene.room or "", request_id)
                if tokens is not None:
                    return good(f"{found}, {tokens} tokens counted")
                if time.monotonic() > deadline:
                    return doubtful(
                        f"{found}, but no usage event came within {_EVENT_LIMIT_S:.0f} s", "meshproxy usage tail"
                    )
                time.sleep(0.2)
    except MeshproxyError:
        return good(found)
