"""Checks of the way to the server: proxy variables, name, port, certificate, its answer, its clock."""

import json
import os
import socket
import ssl
import time
import urllib.request
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from meshproxy_cli.doctor.ask import Reply, ask
from meshproxy_cli.doctor.check import Outcome, bad, doubtful, good, quoted
from meshproxy_cli.doctor.scene import DoctorContext
from meshproxy_cli.errors import MeshproxyError
from meshproxy_cli.settings.runtime import read_runtime
from meshproxy_cli.settings.schema import HOSTED, LOCAL
from meshproxy_cli.settings.urls import is_loopback

LIMIT_S = 2.0
_DAY_S = 86_400
_SOON_DAYS = 14
_SKEW_WARNING_S = 30
_SKEW_FAILURE_S = 300
_MOVED = {301, 302, 307, 308}
_NAME = "use the name that stands in the certificate as the URL's"
_DEGRADED = "requests go on meanwhile, and usage is kept until it is well again; the server's log says more"


def proxy_variables(scene: DoctorContext) -> Outcome:
    """See whether the environment sends requests for the server through a proxy."""
    parts = _parts(scene)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return good("none is in the way")
    # Some programs read the one, some the other.
    exempt = f'export NO_PROXY="{host}${{NO_PROXY:+,$NO_PROXY}}"; export no_proxy="$NO_PROXY"'
    if is_loopback(host):
        return bad(f"{parts.scheme}_proxy sends requests for this very machine to {_without_user(proxy)}", exempt)
    if not _connects(urlsplit(proxy if "://" in proxy else f"//{proxy}")):
        return bad(f"{parts.scheme}_proxy is {_without_user(proxy)}, which does not answer", exempt)
    return doubtful(f"requests go through {_without_user(proxy)}", advice="that is fine where it lets streams through")


def dns(scene: DoctorContext) -> Outcome:
    """Look the server's name up."""
    host, port = _address(_parts(scene))
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        advice = "is this machine online, and the URL right?"
        return bad(f"the name {host} can't be looked up ({reason})", _other_server(scene), advice=advice)
    addresses = sorted({str(entry[4][0]) for entry in found})
    return good(f"{host} is {', '.join(addresses[:3])}")


def tcp(scene: DoctorContext) -> Outcome:
    """Connect to the server's port."""
    parts = _parts(scene)
    if _is_proxied(parts):
        return good("not tried: a proxy does it")
    host, port = _address(parts)
    try:
        socket.create_connection((host, port), timeout=scene.limit_s).close()
    except OSError as problem:
        reason = "no answer" if isinstance(problem, TimeoutError) else problem.strerror or str(problem)
        return bad(f"nothing can be reached at {host} port {port} ({reason}){_since(scene)}", _start(scene))
    return good(f"{host} port {port} is open")


def tls(scene: DoctorContext) -> Outcome:
    """Check the certificate, and how long it lasts."""
    parts = _parts(scene)
    if parts.scheme != "https":
        return good("not used: plain http on this machine" if is_loopback(parts.hostname or "") else "not used")
    if _is_proxied(parts):
        return good("checked with the answer: a proxy is in between")
    host, port = _address(parts)
    try:
        with (
            socket.create_connection((host, port), timeout=scene.limit_s) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
        ):
            certificate = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as problem:
        return _distrusted(scene, host, problem)
    except OSError as problem:
        reason = getattr(problem, "reason", None) or problem
        return bad(
            f"{host} port {port} speaks no TLS ({reason})", _other_server(scene), advice="is its URL right, with https?"
        )
    days = int((ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) // _DAY_S)
    if days < _SOON_DAYS:
        renew = "renew it on the server, then there: meshproxy reload"
        return doubtful(f"the certificate of {host} expires in {days} days", advice=renew)
    return good(f"the certificate of {host} is valid for {days} more days")


def answers(scene: DoctorContext) -> Outcome:
    """Ask for `/readyz`: is it a Room Proxy, and is it well?"""
    if scene.server.name == HOSTED:
        return good("MeshAgent's service: the requests below tell")
    try:
        reply = ready(scene)
    except MeshproxyError as problem:
        return bad(problem.message, _start(scene), advice=problem.hint or "")
    body = content_of(reply)
    if (reply.status != HTTPStatus.OK or "status" not in body) and _asks_for_a_token(scene):
        return good("it asks for a token where a Room Proxy does; it has no /readyz, as other makes have none")
    if reply.status != HTTPStatus.OK or "status" not in body:
        return _no_room_proxy(scene, reply)
    if body["status"] != "ok":
        listed = body.get("reasons")
        reasons = ", ".join(str(one) for one in listed) if isinstance(listed, list) else "it does not say why"
        return doubtful(f"it is degraded: {reasons}", _start_database(scene), advice=_DEGRADED)
    return good(f"it is well, in {reply.total_s * 1000:.0f} ms")


def _no_room_proxy(scene: DoctorContext, reply: Reply) -> Outcome:
    found = f"{scene.server.url}/readyz answered {reply.status}, as a Room Proxy does not"
    if scene.server.local:
        return bad(f"{found}: another program has that port", _serve_elsewhere(scene))
    moved, page, _ = reply.headers.get("location", "").partition("/readyz")
    if page and moved.startswith(("http://", "https://")) and reply.status in _MOVED:
        return bad(f"{scene.server.url} sends requests on to {moved}, which agents don't follow", _move(scene, moved))
    advice = "is the URL right, and does a gateway in front pass all paths on?"
    return bad(found, _other_server(scene), advice=advice)


def _move(scene: DoctorContext, url: str) -> str:
    if scene.environ.get("MESHAGENT_API_URL") and scene.server_asked is None:
        return f"export MESHAGENT_API_URL={quoted(url)}"
    if scene.server.name not in scene.settings.servers:
        return f"meshproxy doctor --server {quoted(url)}"
    return f"meshproxy server add {quoted(scene.server.name)} {quoted(url)} --replace"


def _start_database(scene: DoctorContext) -> str:
    """Return what starts the database again, where it is one of this machine."""
    runtime = read_runtime(scene.paths) if scene.server.local else None
    parts = urlsplit(runtime.database_url) if runtime is not None else None
    if parts is None or not parts.scheme.startswith("postgresql"):
        return ""
    here = not parts.hostname or is_loopback(parts.hostname)
    return "sudo systemctl start postgresql" if here else ""


def is_degraded(scene: DoctorContext) -> bool:
    """Whether the server says that it is not well, and goes on."""
    return content_of(ready(scene)).get("status") == "degraded"


def clock(scene: DoctorContext) -> Outcome:
    """Compare this machine's clock with the server's: tokens are dated."""
    if scene.server.name == HOSTED:
        return good("not compared")
    before = time.time()
    reply = ready(scene)
    date = reply.headers.get("date")
    if date is None:
        return good("not compared: the server's answer has no date")
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return good("not compared: the server's date can't be read")
    late = int(before - theirs)
    if abs(late) < _SKEW_WARNING_S:
        return good("as the server's")
    found = f"this machine's clock is {abs(late):,} s {'ahead of' if late > 0 else 'behind'} the server's"
    remedy = "sudo timedatectl set-ntp true"
    return bad(found, remedy) if abs(late) > _SKEW_FAILURE_S else doubtful(found, remedy)


def _asks_for_a_token(scene: DoctorContext) -> bool:
    """Whether a request without a credential is refused for that, at a path that only Room Proxies have."""
    try:
        reply = ask("GET", f"{scene.server.url}/rooms/doctor/openai/v1/models", limit_s=scene.limit_s)
    except MeshproxyError:
        return False
    return reply.status in {401, 403} and "json" in reply.headers.get("content-type", "")


def ready(scene: DoctorContext) -> Reply:
    """Return the answer to `/readyz`, asked for once."""
    return scene.once("ready", lambda: ask("GET", f"{scene.server.url}/readyz", limit_s=scene.limit_s))


def content_of(reply: Reply) -> dict[str, object]:
    """Return the JSON object in an answer, empty where there is none."""
    try:
        body = json.loads(reply.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _distrusted(scene: DoctorContext, host: str, problem: ssl.SSLCertVerificationError) -> Outcome:
    reason = problem.verify_message
    if "expired" in reason:
        whose = "" if scene.server.local else "for the server's admin, on its machine: "
        advice = f"{whose}renew it; where the new one lies in the file already, the server reads it by this:"
        return bad(f"the certificate of {host} has expired", "meshproxy reload", advice=advice)
    if "not yet valid" in reason:
        return bad(f"the certificate of {host} is not valid yet", "sudo timedatectl set-ntp true")
    if "mismatch" in reason or "doesn't match" in reason:
        return bad(f"the certificate is not for {host}: {reason}", _other_server(scene), advice=_NAME)
    return bad(
        f"the certificate of {host} is not trusted here ({reason})",
        "export SSL_CERT_FILE=/path/to/your-ca.pem",
        advice="for a private certificate authority; Codex and Claude Code read it too, and agents on Node want the "
        "same file in NODE_EXTRA_CA_CERTS",
    )


def _parts(scene: DoctorContext) -> SplitResult:
    return urlsplit(scene.server.url)


def _address(parts: SplitResult) -> tuple[str, int]:
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _is_proxied(parts: SplitResult) -> bool:
    return parts.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(parts.hostname or "")


def _connects(parts: SplitResult) -> bool:
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=LIMIT_S).close()
    except OSError:
        return False
    return True


def _without_user(proxy: str) -> str:
    return proxy.rpartition("@")[2] if "@" in proxy else proxy


def _since(scene: DoctorContext) -> str:
    runtime = read_runtime(scene.paths) if scene.server.local else None
    if runtime is None:
        return ": the Room Proxy of this machine was never started" if scene.server.local else ""
    return "" if lives(runtime.pid) else ": the Room Proxy of this machine does not run (any more)"


def _start(scene: DoctorContext) -> str:
    if scene.server.local:
        return f"meshproxy serve --port {_address(_parts(scene))[1]}"
    return _other_server(scene)


def _other_server(scene: DoctorContext) -> str:
    """Return the command that leaves a wrong URL behind: to this machine's own server where that one runs."""
    if scene.server.local:
        return _serve_elsewhere(scene)
    if scene.environ.get("MESHAGENT_API_URL") and scene.server_asked is None:
        return "unset MESHAGENT_API_URL"
    runtime = read_runtime(scene.paths)
    if runtime is not None and _connects(urlsplit(runtime.url)) and scene.server_asked is None:
        return f"meshproxy server use {LOCAL}"
    if scene.server.name == HOSTED:
        return ""  # its URL is built in, and right
    if scene.server.name not in scene.settings.servers:
        return "meshproxy server list"
    return f"meshproxy server add {scene.server.name} https://RIGHT.URL --replace"


def another_server(scene: DoctorContext) -> Outcome | None:
    """Tell where a Room Proxy of somebody else answers in the place of this machine's own, which does not run."""
    runtime = read_runtime(scene.paths)
    if not scene.server.local or (runtime is not None and lives(runtime.pid)):
        return None
    found = f"the Room Proxy that answers at {scene.server.url} is another one than this user's, which does not run"
    return bad(found, _serve_elsewhere(scene))


def _serve_elsewhere(scene: DoctorContext) -> str:
    """Return the command that starts this machine's server on the next port that is free."""
    first = _address(_parts(scene))[1] + 1
    return f"meshproxy serve --port {next(port for port in range(first, first + 1000) if _is_free(port))}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def lives(pid: int) -> bool:
    """Whether a process may be there; where that can't be seen, it may."""
    return os.path.exists(f"/proc/{pid}") if os.path.isdir("/proc/self") else True  # noqa: PTH110, PTH112
