"""Who is logged in: a signed cookie that names an access token, which is looked up again at every request.

The cookie holds no secret of its own. It is signed with a key that all workers and replicas share, so none keeps state;
revoking the access token ends its sessions at once. A change must carry the session's CSRF token and come from this
origin; SameSite=Strict keeps the cookie out of requests from other sites in the first place.
"""

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from meshproxy_cli.proxy.admin.access import Holder, in_store, origin_of, services_of
from meshproxy_cli.proxy.admin.problems import Problem
from meshproxy_cli.proxy.admin.rest.endpoint import read_bytes, storable
from meshproxy_cli.store.records import AccessToken

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


async def log_in(request: Request, text: str) -> AccessToken | None:
    """Return the access token with that text, or None."""
    return await in_store(request, lambda store: store.check_access_token(text))


def set_cookie(request: Request, response: Response, token: AccessToken) -> None:
    """Start a session."""
    claims = _Claims(token.id, int(time.time()) + LIFETIME_S, secrets.token_urlsafe(16))
    payload = base64.urlsafe_b64encode(msgspec.json.encode(claims)).decode()
    response.set_cookie(
        COOKIE,
        f"{payload}.{_sign(request, payload)}",
        max_age=LIFETIME_S,
        path=PATH,
        secure=_is_https(request),
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response) -> None:
    """End the session in this browser."""
    response.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="strict")


async def current(request: Request) -> Session | None:
    """Return the session of this request, or None where there is none or its access token was revoked."""
    cookie = request.cookies.get(COOKIE, "")
    payload, _, signature = cookie.partition(".")
    if not hmac.compare_digest(signature.encode(), _sign(request, payload).encode()):
        return None
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload), type=_Claims)
    if claims.expires_at <= time.time():
        return None
    for token in await in_store(request, lambda store: store.access_tokens()):
        if token.id == claims.token_id and token.revoked_at is None:
            return Session(Holder(token, origin_of(request)), _sign(request, f"csrf:{cookie}"))
    return None


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
    _check_origin(request)
    fields = await read_form(request)
    if not hmac.compare_digest(fields.pop("csrf", "").encode(), session.csrf.encode()):
        raise Problem(403, "stale_form", "This form is out of date: go back, reload the page and try again.")
    return fields


def _check_origin(request: Request) -> None:
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise Problem(403, "cross_site", "Changes are taken from the dashboard's own pages only.")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, "cross_site", "Changes are taken from the dashboard's own pages only.")


def _sign(request: Request, payload: str) -> str:
    key = services_of(request).session_key
    return hmac.new(key, payload.encode(), hashlib.sha256).hexdigest()


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https" or services_of(request).public_url.startswith("https:")
