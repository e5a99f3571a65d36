"""Who is logged in: a signed cookie that names an access token, which is looked up again at every request.

The cookie holds no secret of its own. It is signed with a key that all workers and replicas share. Logging out and
revoking the access token end a session at once: both are looked up in the store at every request. A change must carry
the session's CSRF token and come from this origin; SameSite=Strict keeps the cookie out of requests from other sites in
the first place. Over TLS the cookie has the prefix `__Host-`, so that no other host or plain HTTP can set it.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import Holder, in_store, origin_of, services_of
from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.rest.endpoint import read_bytes, storable
from meshproxy_cli.store.records import AccessToken
from meshproxy_cli.store.store import Store

COOKIE = "meshproxy_session"
PATH = "/dashboard"
LIFETIME_S = 12 * 60 * 60
_MOST_FIELDS = 50


class _Claims(msgspec.Struct, frozen=True):
    token_id: str
    expires_at: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Session:
    """A login: whose, and the token that its forms carry against forged requests."""

    holder: Holder
    csrf: str
    session_id: str
    expires_at: datetime


async def log_in(request: Request, text: str) -> AccessToken | None:
    """Return the access token with that text, or None."""
    return await in_store(request, lambda store: store.access_tokens.check(text))


def set_cookie(request: Request, response: Response, token: AccessToken) -> None:
    """Start a session."""
    claims = _Claims(token.id, int(time.time()) + LIFETIME_S, secrets.token_urlsafe(16))
    payload = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode()
    secure = is_https(request)
    response.set_cookie(
        _cookie_name(request),
        f"{payload}.{_sign(request, payload)}",
        max_age=LIFETIME_S,
        path="/" if secure else PATH,
        secure=secure,
        httponly=True,
        samesite="strict",
    )


async def log_out(request: Request, response: Response, session: Session) -> None:
    """End the session: on every server that shares the store, and in this browser."""
    await in_store(request, lambda store: store.dashboard_sessions.end(session.session_id, session.expires_at))
    secure = is_https(request)
    response.delete_cookie(
        _cookie_name(request), path="/" if secure else PATH, secure=secure, httponly=True, samesite="strict"
    )


async def current(request: Request) -> Session | None:
    """Return the session of this request, or None if there is none, it was ended, or its token was revoked."""
    cookie = _cookie(request)
    payload, _, signature = cookie.partition(".")
    if not hmac.compare_digest(signature.encode(), _sign(request, payload).encode()):
        return None
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload), type=_Claims)
    if claims.expires_at <= time.time():
        return None
    token = await in_store(request, lambda store: _find_token(store, claims))
    if token is None:
        return None
    expires_at = datetime.fromtimestamp(claims.expires_at, UTC)
    return Session(Holder(token, origin_of(request)), _sign(request, f"csrf:{cookie}"), claims.nonce, expires_at)


def _find_token(store: Store, claims: _Claims) -> AccessToken | None:
    if store.dashboard_sessions.is_ended(claims.nonce):
        return None
    tokens = (token for token in store.access_tokens.list() if token.id == claims.token_id)
    return next((token for token in tokens if token.revoked_at is None), None)


def _cookie(request: Request) -> str:
    """Return the session's cookie, "" without one. Starlette's reader takes quadratic time for quoted values."""
    wanted = _cookie_name(request)
    for pair in request.headers.get("cookie", "").split(";"):
        name, _, value = pair.partition("=")
        if name.strip() == wanted:
            return value.strip()
    return ""


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a URL-encoded form; raise `Problem` 400 for any other body."""
    try:
        pairs = parse_qsl(
            (await read_bytes(request)).decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise Problem(400, "invalid_request", "That is no form of this dashboard.") from None
    return storable(dict(pairs))


async def check_form(request: Request, session: Session) -> dict[str, str]:
    """Return the fields of a form that this session's own page sent; raise `Problem` 403 for any other."""
    check_origin(request)
    fields = await read_form(request)
    if not hmac.compare_digest(fields.pop("csrf", "").encode(), session.csrf.encode()):
        raise Problem(403, "stale_form", "This form is out of date: go back, reload the page and try again.")
    return fields


def check_origin(request: Request) -> None:
    """Raise `Problem` 403 for a form that a page of another origin sent: every browser says so, in one header or more.

    Login has no session yet that could hold a CSRF token, so this is what keeps another site from logging somebody in.
    """
    sites = request.headers.getlist("sec-fetch-site")
    origins = request.headers.getlist("origin") or [
        referrer for referrer in request.headers.getlist("referer") if not sites
    ]
    if any(site != "same-origin" for site in sites) or not all(_is_own(request, origin) for origin in origins):
        raise Problem(403, "cross_site", "Changes are accepted from the dashboard's own pages only.")


def _is_own(request: Request, origin: str) -> bool:
    try:
        scheme, netloc, *_ = urlsplit(origin)
    except ValueError:
        return False
    downgraded = request.scope["scheme"] == "https" and scheme != "https"
    return scheme in {"http", "https"} and netloc == request.headers.get("host") and not downgraded


def _sign(request: Request, payload: str) -> str:
    key = services_of(request).session_key
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def _cookie_name(request: Request) -> str:
    return f"__Host-{COOKIE}" if is_https(request) else COOKIE


def is_https(request: Request) -> bool:
    """Return whether browsers reach this server over TLS: its own, or that of a proxy which `public_url` names."""
    return request.scope["scheme"] == "https" or services_of(request).public_url.startswith("https:")
