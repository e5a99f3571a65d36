"""Checks of the API key that signs tokens here."""

from meshproxy_cli.doctor.check import Outcome, bad, good
from meshproxy_cli.doctor.scene import Scene
from meshproxy_cli.errors import CredentialError, MeshproxyError
from meshproxy_cli.settings.credentials import API_KEY_VARIABLE
from meshproxy_cli.settings.schema import HOSTED


def api_key(scene: Scene) -> Outcome:
    """Find the key and read it."""
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


def key_known(scene: Scene) -> Outcome:
    """Ask the server for its keys: ours has to be among them, not revoked, of this project."""
    if scene.imported_token is not None:
        return good("none is needed")
    key = scene.api_key
    try:
        with scene.client() as client:
            project = client.project()
            known = {one.id: one for one in client.api_keys()}
    except CredentialError:
        return good("not asked for, as there is no access token here; the token's check tells")
    source = f"the variable {API_KEY_VARIABLE} holds it" if _from_variable(scene) else ""
    remedy = f"unset {API_KEY_VARIABLE}" if _from_variable(scene) else new_key(scene)
    more = f" ({source})" if source else ""
    if key.project_id != project.id:
        return bad(
            f"the key {key.id} belongs to the project {key.project_id}, and the server's is {project.id}{more}", remedy
        )
    if key.id not in known:
        return bad(f"{scene.server.name} does not know the key {key.id}{more}", remedy)
    if known[key.id].revoked_at is not None:
        return bad(f"the key {key.id} ({known[key.id].name}) was revoked{more}", remedy)
    return good(f"{known[key.id].name!r} is known to {scene.server.name} and not revoked")


def new_key(scene: Scene) -> str:
    """Return the command that gets a key: made where we may, else kept after somebody gave us one."""
    try:
        with scene.client():
            may = True
    except MeshproxyError:
        may = False
    if may and scene.server.name != HOSTED:
        return f"meshproxy api-key create laptop --activate --silent{scene.for_server()}"
    return f"meshproxy api-key import{scene.for_server()}"


def _from_variable(scene: Scene) -> bool:
    return bool(scene.environ.get(API_KEY_VARIABLE, "").strip())
