"""Checks of the room and the token: would the server let us in, with this model, within its limits?"""

import json
import time
from http import HTTPStatus

from meshproxy_cli.agents.base import TOKEN_VARIABLE
from meshproxy_cli.doctor.ask import Reply, ask
from meshproxy_cli.doctor.check import Outcome, bad, doubtful, fresh_variable, good, quoted
from meshproxy_cli.doctor.keys import new_key
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.server import another_server
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.settings.credentials import API_KEY_VARIABLE
from meshproxy_cli.suggest import nearest
from meshproxy_cli.tokens.models import model_allowed
from meshproxy_cli.tokens.participant import TokenError, TokenProblem, check_times, decode_unverified

_LET_IN = (
    HTTPStatus.BAD_REQUEST
)  # the body is no JSON on purpose: that is told after the caller was let in, and goes to no provider
_PROTOCOLS = {"codex": "openai", "claude": "anthropic"}


def room(scene: DoctorContext) -> Outcome:
    """Say which room is meant; where rooms were created, a near one may be."""
    name = scene.room
    if name is None:
        return bad("no room is chosen, and no agent is configured", "meshproxy config set room my-room")
    if not name.strip() or not name.isprintable():
        mend = "unset MESHAGENT_ROOM" if scene.environ.get("MESHAGENT_ROOM") else "meshproxy config set room my-room"
        return bad(f"{name!r} can't name a room", mend)
    if near := _near(scene):
        return doubtful(f"{name}: no room of that name was created, but {near} was", _move(scene, near))
    return good(name)


def token(scene: DoctorContext) -> Outcome:
    """Get a token as agents do, and read what it allows."""
    text = scene.token
    try:
        claims = decode_unverified(text)
        check_times(claims, now=int(time.time()))
    except TokenError as problem:
        return bad(f"{_whose(scene)}: {problem.message}", _new_token(scene))
    if claims.room is not None and claims.room != scene.room:
        return bad(f"{_whose(scene)} is for the room {claims.room}, not {scene.room}", _new_token(scene))
    if not claims.llm:
        return bad(f"{_whose(scene)} does not grant model access (no `llm` in its spec)", _new_token(scene))
    return good(
        f"{claims.identity} in {claims.room or 'any room'}" + ("" if claims.models is None else ", some models")
    )


def accepted(scene: DoctorContext) -> Outcome:
    """Show the token to the server with a request that it refuses for its body alone, before any provider."""
    reply = _probe_server(scene)
    ours = "meshproxy-request-id" in reply.headers
    if reply.status == _LET_IN and (error_code(reply) in {"invalid_body", ""} or not ours):
        return good(f"{scene.server.name} lets {scene.room} in")
    if ours and reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return good(f"{scene.server.name} lets {scene.room} in, up to its limits")
    return _refused(scene, reply)


def models(scene: DoctorContext) -> Outcome:
    """See whether token and room allow the model that each agent was configured with."""
    allowed = decode_unverified(scene.token).models
    record = next((one for one in scene.rooms if one.name == scene.room), None)
    checked = 0
    for receipt in scene.here:
        protocol = _PROTOCOLS.get(receipt.agent, "openai")
        if receipt.model is None or receipt.room != scene.room:
            continue
        checked += 1
        real = receipt.model if record is None else record.aliases.get(receipt.model, receipt.model)
        if not model_allowed(allowed, protocol, real):
            return bad(f"the token does not allow {protocol}/{real}, which {receipt.agent} asks for", _new_token(scene))
        if record is not None and record.models and not model_allowed(record.models, protocol, real):
            more = " ".join(f"--model {quoted(pattern)}" for pattern in (*record.models, f"{protocol}/{real}"))
            return bad(
                f"the room {record.name} does not allow {protocol}/{real}, which {receipt.agent} asks for",
                f"meshproxy room set {quoted(record.name)} {more}{scene.for_server()}",
            )
    return good(f"{checked} configured models are allowed" if checked else "agents ask for their own models")


def limits(scene: DoctorContext) -> Outcome:
    """Look for a limit that lets nothing through any more: which, whose, and until when."""
    sessions = tuple(dict.fromkeys(one.session for one in scene.here if one.room == scene.room))
    try:
        with scene.client() as client:
            spent = scene.desk.spent(client, scene.room or "", sessions, scene.given_identity())
    except MeshproxyError as problem:
        return good(f"not asked for, as there is no access here ({type(problem).__name__}); a refusal would say so")
    if not spent:
        return good("none is used up")
    found, remedy = spent[0]
    more = f" (and {len(spent) - 1} more)" if len(spent) > 1 else ""
    advice = "" if scene.server.local else "for an admin of the server; or wait until then"
    return bad(found + more, f"{remedy}{scene.for_server()}", advice=advice)


def error_code(reply: Reply) -> str:
    """Return the code in a refusal (OpenAI's shape), or ""."""
    return _error(reply).get("code") or ""


def error_message(reply: Reply) -> str:
    """Return what a refusal says, in one line of 300 characters at most."""
    text = _error(reply).get("message") or reply.body[:300].decode(errors="replace")
    return " ".join(text.split())[:300]


def _error(reply: Reply) -> dict[str, str]:
    try:
        error = json.loads(reply.body)["error"]
        return {name: str(error[name] or "") for name in ("code", "message", "type") if name in error}
    except (ValueError, KeyError, TypeError):
        return {}


def _probe_server(scene: DoctorContext) -> Reply:
    headers = {
        "Authorization": f"Bearer {scene.token}",
        "Meshagent-Session": scene.session,
        "Content-Type": "application/json",
    }
    url = f"{scene.base_url('openai')}/chat/completions"
    return ask("POST", url, headers, b"[", limit_s=scene.limit_s)


def _refused(scene: DoctorContext, reply: Reply) -> Outcome:
    code, found = error_code(reply), error_message(reply)
    if code == "unknown_room":
        return _unknown_room(scene, found)
    if code in {"wrong_room", "llm_not_granted", f"token_{TokenProblem.EXPIRED}"}:
        return bad(found, _new_token(scene))
    if code == f"token_{TokenProblem.NOT_YET_VALID}":
        return bad(found, "sudo timedatectl set-ntp true")
    if code.startswith("token_"):
        own = scene.environ.get(API_KEY_VARIABLE) and scene.given_token is None
        if code == f"token_{TokenProblem.UNKNOWN_KEY}" and not own and (other := another_server(scene)):
            return other
        return bad(found, f"unset {API_KEY_VARIABLE}" if own else _new_token(scene))
    return bad(
        f"{scene.server.name} answered {reply.status}: {found}", "meshproxy audit", advice="the server's log says more"
    )


def _unknown_room(scene: DoctorContext, found: str) -> Outcome:
    """Lead to the room that was probably meant, else to the command that creates this one."""
    if near := _near(scene):
        return bad(f"{found} {near} was created.", _move(scene, near))
    create = f"meshproxy room create {quoted(scene.room or '')}{scene.for_server()}"
    return bad(
        found, create, advice="" if scene.server.local else "where you are no admin of the server, send it to one:"
    )


def _near(scene: DoctorContext) -> str | None:
    """Return a room that was created, whose name is nearly that of a room that was not."""
    known = [one.name for one in scene.rooms]
    name = scene.room or ""
    return None if name in known else nearest(name, known)


def _whose(scene: DoctorContext) -> str:
    if scene.variable_token is not None:
        return f"the token in {TOKEN_VARIABLE}"
    return "the token" if scene.imported_token is None else "the imported token"


def _new_token(scene: DoctorContext) -> str:
    """Return the command that gets a token which fits: an imported one is in the way of better ones."""
    if scene.variable_token is not None:
        return fresh_variable(scene.room or "", scene.for_server())
    if scene.imported_token is None:
        return new_key(scene)
    forget = f"meshproxy token forget --room {quoted(scene.room or '')}{scene.for_server()}"
    try:
        scene.api_key  # noqa: B018 (asked whether there is one)
    except MeshproxyError:
        return f"{forget} && {new_key(scene)}"
    return forget


def _move(scene: DoctorContext, to: str) -> str:
    """Return the command that leads to another room, wherever the wrong name stands."""
    if scene.room_asked is not None:
        return f"meshproxy doctor --room {quoted(to)}"
    if scene.environ.get("MESHAGENT_ROOM"):
        return f"export MESHAGENT_ROOM={quoted(to)}"
    agent = next((one for one in reversed(scene.here) if one.room == scene.room), None)
    if agent is not None:
        return f"meshproxy configure {agent.agent} --room {quoted(to)} --yes"
    return f"meshproxy config set room {quoted(to)}"
