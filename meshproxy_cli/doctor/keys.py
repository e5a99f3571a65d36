"""Checks of the API key that signs tokens here."""

from meshproxy_cli.agents.base import TOKEN_VARIABLE
from meshproxy_cli.doctor.check import Outcome, bad, doubtful, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.doctor.server import is_degraded
from meshproxy_cli.errors import CredentialError, NotFoundError, UnavailableError
from meshproxy_cli.settings.credentials import ACCESS_TOKEN_VARIABLE, API_KEY_VARIABLE, find_access_token
from meshproxy_cli.settings.schema import HOSTED


def api_key(scene: DoctorContext) -> Outcome:
    """Find the key and read it."""
    if scene.variable_token is not None:
        return good(f"none is needed: {TOKEN_VARIABLE} holds a participant token")
    if scene.imported_token is not None:
        return good("none is needed: a participant token was imported for this room")
    try:
        credential = scene.api_key_text
    except CredentialError as problem:
        return bad(problem.message, new_key(scene))
    try:
        key = scene.api_key
    except CredentialError as problem:
        remedy = f"unset {API_KEY_VARIABLE}" if _from_variable(scene) else new_key(scene)
        return bad(f"{credential.source}: {problem.message}", remedy)
    return good(f"{key.id}, from {credential.source}")


def access_token(scene: DoctorContext) -> Outcome:
    """See whether the server takes this user's access token: keys, usage and limits are asked for with it."""
    if scene.server.local or scene.server.name == HOSTED:
        return good("")
    token = find_access_token(scene.server.name, scene.secrets, scene.environ)
    if token is None:
        return good("there is none here: keys, usage and limits of this server are not asked for")
    try:
        with scene.client() as client:
            client.project()
    except CredentialError as problem:
        return _refused(scene, f"{token.source}: {problem.message}", ACCESS_TOKEN_VARIABLE in token.source)
    except NotFoundError as problem:
        return bad(problem.message, "unset MESHAGENT_PROJECT_ID" if scene.environ.get("MESHAGENT_PROJECT_ID") else "")
    except UnavailableError as problem:
        return doubtful(f"it can't be tried: {problem.message}")
    return good(f"taken, from {token.source}")


def _refused(scene: DoctorContext, found: str, from_variable: bool) -> Outcome:  # noqa: FBT001 (a fact, and no switch)
    if from_variable:
        return bad(found, f"unset {ACCESS_TOKEN_VARIABLE}")
    keep = f"meshproxy server add {quoted(scene.server.name)} {quoted(scene.server.url)} --access-token -"
    return bad(found, keep, advice="with a new one, which an admin of the server makes:")


def key_known(scene: DoctorContext) -> Outcome:
    """Ask the server for its keys: ours has to be among them, not revoked, of this project."""
    if scene.given_token is not None:
        return good("none is needed")
    try:
        with scene.client() as client:
            project = client.project().id
            known = {one.id: (one.name, one.revoked_at is not None) for one in client.keys.list(client.project_id)}
    except CredentialError:
        return good("not asked for, as there is no access token here; the token's check tells")
    except UnavailableError as problem:
        if not is_degraded(scene):
            raise
        return doubtful(f"it can't be asked for: {problem.message}")
    key = scene.api_key
    name, revoked = known.get(key.id, ("", False))
    if key.project_id != project:
        wrong = f"the key {key.id} belongs to the project {key.project_id}, and the server's is {project}"
    elif not name:
        wrong = f"{scene.server.name} does not know the key {key.id}"
    elif revoked:
        wrong = f"the key {key.id} ({name}) was revoked"
    else:
        return good(f"{name!r} is known to {scene.server.name} and not revoked")
    if _from_variable(scene):
        return bad(f"{wrong} (the variable {API_KEY_VARIABLE} holds it)", f"unset {API_KEY_VARIABLE}")
    return bad(wrong, new_key(scene))


def new_key(scene: DoctorContext) -> str:
    """Return the command that gets a key: made where we may, else kept after somebody gave us one."""
    if scene.server.name != HOSTED and scene.may_make_keys:
        return f"meshproxy api-key create laptop --activate --silent{scene.for_server()}"
    return f"meshproxy api-key import{scene.for_server()}"


def _from_variable(scene: DoctorContext) -> bool:
    return bool(scene.environ.get(API_KEY_VARIABLE, "").strip())
