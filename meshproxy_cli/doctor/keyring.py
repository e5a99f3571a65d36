"""Checks of where secrets lie: the secrets file and the OS keyring."""

from uuid import uuid4

from meshproxy_cli.doctor.check import Outcome, bad, doubtful, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.settings.credentials import API_KEY_VARIABLE
from meshproxy_cli.settings.oskeyring import KeyringState, KeyringUnusableError, OsKeyring
from meshproxy_cli.settings.secretfile import Place, SecretsFileError, damaged, read_current, read_document
from meshproxy_cli.settings.secrets import KeyringMode

_SERVICE = "meshproxy: doctor"
_LIMIT_S = 2.0
_FOR_THIS_SHELL = f'export {API_KEY_VARIABLE}="$(meshproxy api-key create laptop)"'


def secrets_file(scene: DoctorContext) -> Outcome:
    """Read the file that lists the secrets, which nobody else may be able to."""
    path = scene.paths.current_secrets_file
    try:
        document = read_document(path)
    except SecretsFileError as problem:
        if "others can read it" in problem.message:
            return bad(problem.message, f"chmod 600 {quoted(path)}", safe=True)
        if damaged(problem):
            saves = "keeps every secret that stands in it whole, and the damaged file beside it"
            return bad(problem.message, "meshproxy secret repair", advice=saves, safe=True)
        if path.is_dir():
            return bad(problem.message, f"mv {quoted(path)} {quoted(path)}.old")
        return bad(problem.message, f'sudo chown "$(id -u)" {quoted(path)}')
    if path == scene.paths.former_secrets_file and path.exists():
        target = scene.paths.secrets_file
        return doubtful(
            f"{path} is stored beside the database, whose master key it can hold",
            f"mkdir -p -m 700 {quoted(target.parent)} && mv {quoted(path)} {quoted(target)}",
        )
    return good(f"{path}: {len(document.records)} secrets" if path.exists() else "no secret is kept yet")


def keyring(scene: DoctorContext) -> Outcome:
    """Ask the OS keyring for something, then let it keep something and give it back."""
    try:
        mode = scene.secrets.mode
    except MeshproxyError as problem:
        return bad(problem.message, "unset MESHPROXY_KEYRING")
    if mode is KeyringMode.FILE:
        return _without_keyring(scene)
    status = scene.secrets.keyring_status()
    if status.state is KeyringState.USABLE:
        return _keeps(scene)
    return _unusable(scene, status.problem)


def _without_keyring(scene: DoctorContext) -> Outcome:
    there = _in_keyring(scene)
    if there:
        return bad(
            f"MESHPROXY_KEYRING=file leaves the OS keyring alone, and {', '.join(there)} lies there",
            "unset MESHPROXY_KEYRING",
        )
    return good("not used: MESHPROXY_KEYRING=file keeps secrets in a file with mode 0600")


def _unusable(scene: DoctorContext, problem: str) -> Outcome:
    by_variable = bool(scene.environ.get(API_KEY_VARIABLE, "").strip())
    needed = (bool(_in_keyring(scene)) and not by_variable) or scene.secrets.mode is KeyringMode.OS
    if not needed:
        return doubtful(
            f"{problem}: secrets are kept in {scene.paths.current_secrets_file} (mode 0600)",
            "export MESHPROXY_KEYRING=file",
        )
    if scene.secrets.mode is KeyringMode.OS and not _in_keyring(scene):
        return bad(f"{problem}, and MESHPROXY_KEYRING=os wants one", "unset MESHPROXY_KEYRING")
    advice = "unlock it in your keyring program (logging in at the desktop does that); or for this shell alone:"
    return bad(problem, _FOR_THIS_SHELL, advice=advice)


def _in_keyring(scene: DoctorContext) -> tuple[str, ...]:
    try:
        return tuple(entry.name for entry in scene.secrets.names() if entry.place is Place.OS)
    except MeshproxyError:
        return ()


def _keeps(scene: DoctorContext) -> Outcome:
    backend = OsKeyring(time_limit_s=_LIMIT_S, remembered=lambda: read_current(scene.paths).backend)
    try:
        backend.set(_SERVICE, "probe", uuid4().hex)
        backend.delete(_SERVICE, "probe")
    except KeyringUnusableError as problem:
        return _unusable(scene, problem.message)
    return good(f"{backend.backend_name} is unlocked, keeps a secret and gives it back")
