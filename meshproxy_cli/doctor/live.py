"""Live checks: one short streamed request for each protocol, through the room, to the provider and into the usage."""

import json
import re
import time
from http import HTTPStatus
from typing import Any

from meshproxy_cli.doctor.ask import Reply, ask
from meshproxy_cli.doctor.check import Outcome, bad, doubtful, good, quoted
from meshproxy_cli.doctor.room import error_code, error_message
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.settings.providers import DEFAULT_URLS, read_providers
from meshproxy_cli.tokens.models import model_allowed
from meshproxy_cli.tokens.participant import decode_unverified

_LIMIT_S = 60.0
_EVENT_LIMIT_S = 5.0
_DEFAULT_MODELS = {"openai": "gpt-5.4-mini", "anthropic": "claude-haiku-4-5"}
_SPEAKERS = {"claude": "anthropic"}
_KEY_REFUSED = {401, 403}
_NAMED = re.compile(r"no provider '([^']+)'")
_MOST_TOKENS = 16
_ECHO = b"meshproxy's"  # its answers are streamed word by word
_NO_MODEL = "not tried: token or room allow only models that are not named one by one"


def openai(scene: DoctorContext) -> Outcome:
    """Ask an OpenAI model for a word."""
    model = _model(scene, "openai")
    body = {"model": model, "input": "Say: ok", "stream": True, "store": False, "max_output_tokens": _MOST_TOKENS}
    return _try(scene, "openai", "/responses", body) if model else good(_NO_MODEL)


def anthropic(scene: DoctorContext) -> Outcome:
    """Ask an Anthropic model for a word."""
    model = _model(scene, "anthropic")
    messages = [{"role": "user", "content": "Say: ok"}]
    body = {"model": model, "max_tokens": _MOST_TOKENS, "messages": messages, "stream": True}
    return _try(scene, "anthropic", "/v1/messages", body) if model else good(_NO_MODEL)


def _model(scene: DoctorContext, protocol: str) -> str | None:
    """Return the model that an agent was configured with, else a small one that most teams have, as far as allowed.

    None where token or room name no single model of the protocol.
    """
    chosen = (one.model for one in reversed(scene.here) if one.model and _SPEAKERS.get(one.agent, "openai") == protocol)
    model = next(chosen, None)
    if model is not None:
        return model
    record = next((one for one in scene.rooms if one.name == scene.room), None)
    allowed = [decode_unverified(scene.token).models, record.models or None if record else None]
    names = (pattern.partition("/") for patterns in allowed for pattern in patterns or ())
    named = [name for owner, _, name in names if owner == protocol and "*" not in name]
    for one in (_DEFAULT_MODELS[protocol], *named):
        if all(model_allowed(patterns, protocol, one) for patterns in allowed):
            return one
    return None


def _try(scene: DoctorContext, protocol: str, path: str, body: dict[str, Any]) -> Outcome:
    headers = {
        "Authorization": f"Bearer {scene.token}",
        "Meshagent-Session": scene.session,
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
    }
    if protocol == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    url = scene.base_url(protocol) + path
    reply = ask("POST", url, headers, json.dumps(body).encode(), limit_s=_LIMIT_S)
    if reply.status != HTTPStatus.OK or b"event: error" in reply.body or b"response.failed" in reply.body:
        return _milder(scene, protocol, _explained(scene, protocol, reply, str(body["model"])))
    if _ECHO in reply.body:
        found = f"the server has no key for {protocol}: its echo provider answered, which is no model"
        return doubtful(found, _new_provider_key(scene, protocol), advice=_whose_server(scene))
    found = f"{body['model']} answered: first byte after {reply.first_s * 1000:.0f} ms"
    return _counted(scene, reply, found)


def _milder(scene: DoctorContext, protocol: str, outcome: Outcome) -> Outcome:
    """Make a warning of a failure that no configured agent would meet."""
    used = {_SPEAKERS.get(one.agent, "openai") for one in scene.here}
    if used and protocol not in used:
        return doubtful(f"{outcome.found} (no configured agent uses it)", outcome.remedy, advice=outcome.advice)
    return outcome


def _explained(scene: DoctorContext, protocol: str, reply: Reply, model: str) -> Outcome:
    code, said = error_code(reply), error_message(reply)
    if code == "no_provider":
        wanted = _NAMED.search(said)
        return bad(said, _new_provider_key(scene, protocol, wanted and wanted[1]), advice=_whose_server(scene))
    if code in {"provider_unreachable", "provider_timeout"}:
        moved = f"meshproxy provider add {protocol} --base-url URL --replace && meshproxy reload"
        return bad(said, "meshproxy provider test", advice=f"if its URL is wrong: {moved}")
    if code == "model_not_allowed" or "does not allow" in said:
        return bad(
            said, advice="allow it (`meshproxy room set`), or choose another model (`meshproxy configure … --model`)"
        )
    if reply.status in _KEY_REFUSED:
        found = f"the provider refuses the team's key ({reply.status}): {said}"
        return bad(found, _new_provider_key(scene, protocol), advice=_whose_server(scene))
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return _too_many(reply, said)
    whose = "" if scene.server.local else "; for the server's admin, on its machine"
    return bad(
        f"{model}: {reply.status} {said}", "meshproxy provider test", advice=f"it is the provider's answer{whose}:"
    )


def _too_many(reply: Reply, said: str) -> Outcome:
    """Tell a limit of ours from the provider's; both say how long to wait."""
    wait = reply.headers.get("retry-after", "")
    later = f"sleep {wait}" if wait.isdigit() else ""
    if "has reached its limit of" in said:
        return bad(said, later or "meshproxy limit list", advice="or an admin raises it (`meshproxy limit set`)")
    return bad(f"the provider refuses for now (429): {said}", later, advice="its limits for the team's account are met")


def _new_provider_key(scene: DoctorContext, protocol: str, wanted: str | None = None) -> str:
    """Return the command that gives the server another key, for the provider as it is configured on this machine.

    `wanted` is the name of one that a room goes by and that is not there.
    """
    mine = read_providers(scene.paths, {}) if scene.server.local else ()
    one = next((provider for provider in mine if provider.protocol == protocol), None)
    words = ["meshproxy", "provider", "add", protocol]
    if wanted is not None and wanted != protocol:
        return f"{' '.join(map(quoted, [*words, '--name', wanted, '--api-key', '-']))} && meshproxy reload"
    if one is not None and one.name != protocol:
        words += ["--name", one.name]
    if one is not None and one.base_urls[0] != DEFAULT_URLS[protocol]:
        words += ["--base-url", one.base_urls[0]]
    return f"{' '.join(map(quoted, [*words, '--api-key', '-']))} && meshproxy reload"


def _whose_server(scene: DoctorContext) -> str:
    key = "it reads the key from standard input; where `serve` has the key from a variable, start it again with that"
    return key if scene.server.local else f"for the server's admin, on its machine; {key}"


def _counted(scene: DoctorContext, reply: Reply, found: str) -> Outcome:
    request_id = reply.headers.get("meshproxy-request-id", "")
    deadline = time.monotonic() + _EVENT_LIMIT_S
    try:
        with scene.client() as client:
            while True:
                tokens = scene.desk.tokens_of(client, scene.room or "", scene.session, request_id)
                if tokens is not None:
                    return good(f"{found}, {tokens} tokens counted")
                if time.monotonic() > deadline:
                    return doubtful(
                        f"{found}, but no usage event came within {_EVENT_LIMIT_S:.0f} s", "meshproxy usage tail"
                    )
                time.sleep(0.2)
    except MeshproxyError:
        return good(found)
