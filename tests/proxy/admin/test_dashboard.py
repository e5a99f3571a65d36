"""The dashboard without a browser: logins, forged and stale forms, headers, the numbers, what a viewer can't do."""

import base64
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fixtures.webserver import Site, event, make_site
from meshproxy_cli.proxy.admin.dashboard import sessions
from meshproxy_cli.store.records import LimitKind, Role
from meshproxy_cli.tokens.apikey import ApiKey
from proxy.admin.pages import Page, csrf, log_in

PAGES = ("/dashboard", "/dashboard/usage", "/dashboard/requests", "/dashboard/rooms", "/dashboard/keys")


@pytest.fixture
def maria(site: Site) -> TestClient:
    return log_in(site, site.admin)


@pytest.fixture
def finance(site: Site) -> TestClient:
    return log_in(site, site.viewer)


@pytest.mark.parametrize("path", [*PAGES, "/dashboard/access"])
def test_nothing_is_shown_without_a_login(site: Site, path: str) -> None:
    site.store.add_events([event(site)])
    answer = site.client().get(path + "?room=backend")
    assert (answer.status_code, answer.text) == (303, "")
    assert answer.headers["location"] == f"/dashboard/login?next={path.replace('/', '%2F')}%3Froom%3Dbackend"


def test_login_sets_a_cookie_that_scripts_and_other_sites_cannot_use(site: Site) -> None:
    answer = site.client().post("/dashboard/login", data={"token": site.admin, "next": "/dashboard/usage?by=day"})
    assert answer.headers["location"] == "/dashboard/usage?by=day"
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/dashboard", "Max-Age=43200"))
    assert "Secure" not in cookie
    assert site.admin not in cookie


def test_login_over_https_sets_a_secure_cookie(tmp_path: Path) -> None:
    site = make_site(tmp_path, public_url="https://proxy.test")
    assert "Secure" in site.client().post("/dashboard/login", data={"token": site.admin}).headers["set-cookie"]
    site.store.close()


@pytest.mark.parametrize("token", ["", "wrong", "mpa_" + "x" * 43])
def test_wrong_token(site: Site, token: str) -> None:
    answer = site.client().post("/dashboard/login", data={"token": token})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert token == "" or token not in answer.text


@pytest.mark.parametrize(
    "target",
    ["https://evil.test/", "//evil.test", "/\\evil.test", "/dashboardx", "/dashboard/\r\nx: y", "javascript:0"],
)
def test_login_leads_nowhere_else(site: Site, target: str) -> None:
    answer = site.client().post("/dashboard/login", data={"token": site.admin, "next": target})
    assert answer.headers["location"] == "/dashboard"


def test_a_revoked_token_ends_its_logins(site: Site, finance: TestClient) -> None:
    assert finance.get("/dashboard").status_code == 200
    token = next(token for token in site.store.access_tokens() if token.name == "finance")
    site.store.revoke_access_token(token.id)
    assert finance.get("/dashboard").status_code == 303


def test_a_changed_or_expired_cookie_is_none(site: Site, maria: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = maria.cookies[sessions.COOKIE]
    payload, signature = cookie.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload))
    other = next(token for token in site.store.access_tokens() if token.name == "finance")
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"token_id": other.id}).encode()).decode()
    for bad in (f"{forged}.{signature}", f"{payload}.", payload, "", ".", "é.x", f"{payload}.{signature}0"):
        answer = site.client().get("/dashboard", headers={"cookie": f"{sessions.COOKIE}={bad}".encode()})
        assert answer.status_code == 303, bad
    later = time.time() + sessions.LIFETIME_S + 1
    monkeypatch.setattr(sessions.time, "time", lambda: later)
    assert maria.get("/dashboard").status_code == 303


def test_replicas_with_the_same_key_share_logins(site: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    same = make_site(tmp_path / "other", store=site.store, session_key=site.services.session_key)
    other = make_site(tmp_path / "other", store=site.store)
    cookie = {"cookie": f"{sessions.COOKIE}={log_in(site, site.admin).cookies[sessions.COOKIE]}"}
    assert same.client().get("/dashboard", headers=cookie).status_code == 200
    assert other.client().get("/dashboard", headers=cookie).status_code == 303


def test_logging_out(maria: TestClient) -> None:
    assert maria.post("/dashboard/logout", data={"csrf": "forged"}).status_code == 403
    assert maria.post("/dashboard/logout", data={"csrf": csrf(maria)}).status_code == 303
    assert maria.get("/dashboard").status_code == 303


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.test"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_forms_of_other_sites_are_refused(site: Site, maria: TestClient, headers: dict[str, str]) -> None:
    form = {"csrf": csrf(maria), "name": "x"}
    assert maria.post("/dashboard/keys", data=form, headers=headers).status_code == 403
    assert site.store.api_keys(site.project.id) == ()
    assert maria.post("/dashboard/keys", data=form, headers={"origin": "http://testserver"}).status_code == 200


def test_a_form_of_another_session_is_refused(site: Site, maria: TestClient) -> None:
    other = csrf(log_in(site, site.admin))
    assert maria.post("/dashboard/keys", data={"csrf": other, "name": "x"}).status_code == 403
    assert maria.post("/dashboard/keys", data={"name": "x"}).status_code == 403
    assert site.store.api_keys(site.project.id) == ()


@pytest.mark.parametrize(
    "path", ["/dashboard/keys", "/dashboard/keys/1/revoke", "/dashboard/rooms", "/dashboard/rooms/remove",
             "/dashboard/limits", "/dashboard/limits/remove", "/dashboard/access", "/dashboard/access/1/revoke"],
)  # fmt: skip
def test_a_viewer_changes_nothing(site: Site, finance: TestClient, path: str) -> None:
    before = site.store.change_token()
    answer = finance.post(path, data={"csrf": csrf(finance), "name": "x", "role": "admin"})
    assert answer.status_code == 403
    assert "viewer token" in answer.text
    assert site.store.change_token() == before


def test_a_viewer_sees_no_form_and_no_access_page(finance: TestClient) -> None:
    for path in PAGES:
        forms = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', finance.get(path).text)
        assert forms == ["/dashboard/logout"], path
    assert finance.get("/dashboard/access").status_code == 403


@pytest.mark.parametrize("path", [*PAGES, "/dashboard/access", "/dashboard/login", "/dashboard/none"])
def test_pages_are_sound(site: Site, maria: TestClient, path: str) -> None:
    site.store.add_events([event(site), event(site, cost_usd=None, model_served="mystery")])
    site.store.create_api_key(site.project.id, "k")
    answer = maria.get(path)
    if path == "/dashboard/none":
        assert answer.status_code == 404
        return
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    page = Page(answer.text)
    assert page.open == []
    assert page.inline == []
    assert page.foreign == []
    assert page.unlabelled == []
    assert page.tables == page.captions
    assert '<html lang="en">' in answer.text
    assert answer.text.count("<h1") == 1


def test_static_files(site: Site) -> None:
    for name in ("dashboard.css", "dashboard.js", "icon.svg"):
        answer = site.client().get(f"/dashboard/static/{name}")
        assert answer.status_code == 200
        assert "http://" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in answer.text
    assert site.client().get("/dashboard/static/..%2f__init__.py").status_code == 404
    assert site.client().get("/dashboard/static/base.html").status_code == 404


def numbers(text: str, ident: str) -> str:
    found = re.search(rf'id="{ident}"[^>]*><data value="([^"]*)"', text)
    assert found, ident
    return found[1]


def test_overview_adds_up(site: Site, maria: TestClient) -> None:
    site.store.add_events([event(site), event(site, room="ci"), event(site, model_served="mystery", cost_usd=None)])
    text = maria.get("/dashboard").text
    assert numbers(text, "total-requests") == "3"
    assert numbers(text, "total-input") == "3000"
    assert numbers(text, "total-output") == "150"
    assert numbers(text, "total-cost") == "0.0246"
    assert "1 without a known price" in text
    assert numbers(maria.get("/dashboard?room=ci").text, "total-requests") == "1"
    assert numbers(maria.get("/dashboard?since=2020-01-01&until=2020-01-02").text, "total-requests") == "0"
    assert "Nothing was used in this time" in maria.get("/dashboard?room=none").text


@pytest.mark.parametrize("period", ["24h", "7d", "30d", "90d", "all", "nonsense"])
def test_every_period_shows_what_is_recent(site: Site, maria: TestClient, period: str) -> None:
    site.store.add_events([event(site)])
    text = maria.get(f"/dashboard?period={period}").text
    assert numbers(text, "total-requests") == "1"
    assert len(re.findall(r"<td class=\"num\">\$0\.0123</td>", text)) >= 1


def test_names_from_outside_are_text_and_not_markup(site: Site, maria: TestClient) -> None:
    evil = '"><script>alert(1)</script>&{{1234567*7}}'
    site.store.add_events([event(site, room=evil, session=evil, participant=evil, model_served=evil, error=evil)])
    for path in (*PAGES, "/dashboard/usage?by=session,model", f"/dashboard?room={evil}"):
        text = maria.get(path).text
        assert "<script>alert" not in text
        assert str(1234567 * 7) not in text
        assert Page(text).open == []


def test_breakdown_and_requests(site: Site, maria: TestClient) -> None:
    site.store.add_events([event(site) for _ in range(60)])
    text = maria.get("/dashboard/usage?by=session,day").text
    assert re.search(r"<tfoot>.*?<data value=\"60\">60</data>.*?60,000.*?\$0\.7380", text, re.DOTALL)
    first = maria.get("/dashboard/requests?session=codex-ana").text
    assert first.count("<time ") == 50
    older = re.search(r'href="(/dashboard/requests\?[^"]*after=[^"]*)"', first)
    assert older
    assert maria.get(older[1].replace("&amp;", "&")).text.count("<time ") == 10


def test_making_and_revoking_a_key(site: Site, maria: TestClient) -> None:
    answer = maria.post("/dashboard/keys", data={"csrf": csrf(maria), "name": "ci", "description": "for <b>CI</b>"})
    shown = re.search(r'<code id="secret">([^<]+)</code>', answer.text)
    assert shown
    key = ApiKey.parse(shown[1])
    assert site.store.signing_keys()[0].secret == key.secret
    listed = maria.get("/dashboard/keys").text
    assert key.secret not in listed
    assert "for &lt;b&gt;CI" in listed
    assert maria.post(f"/dashboard/keys/{key.id}/revoke", data={"csrf": csrf(maria)}).status_code == 303
    assert site.store.signing_keys()[0].revoked
    assert maria.post("/dashboard/keys/none/revoke", data={"csrf": csrf(maria)}).status_code == 404
    assert [entry.action for entry in site.store.audit_entries(limit=2)] == ["api_key.revoke", "api_key.create"]


def test_rooms_and_limits(site: Site, maria: TestClient) -> None:
    form = {"csrf": csrf(maria), "name": "backend", "openai": "azure", "anthropic": "",
            "models": "openai/gpt-5*\nanthropic/*", "aliases": "default = gpt-5.4\n\n fast=gpt-5.4-mini"}  # fmt: skip
    assert maria.post("/dashboard/rooms", data=form).status_code == 303
    (room,) = site.store.rooms(site.project.id)
    assert (room.name, room.providers, room.models) == (
        "backend",
        {"openai": "azure"},
        ("openai/gpt-5*", "anthropic/*"),
    )
    assert room.aliases == {"default": "gpt-5.4", "fast": "gpt-5.4-mini"}
    assert maria.post("/dashboard/rooms", data=form | {"aliases": "broken"}).status_code == 400
    assert maria.post("/dashboard/rooms", data=form | {"models": "gpt-5.4"}).status_code == 400
    limit = {
        "csrf": csrf(maria),
        "scope": "room",
        "subject": "*",
        "kind": "usd_per_day",
        "amount": "12.50",
        "hard": "false",
    }
    assert maria.post("/dashboard/limits", data=limit).status_code == 303
    (kept,) = site.store.limits(site.project.id)
    assert (str(kept.amount.normalize()), kept.hard, kept.kind) == ("12.5", False, LimitKind.USD_PER_DAY)
    assert maria.post("/dashboard/limits", data=limit | {"amount": "lots"}).status_code == 400
    page = maria.get("/dashboard/rooms").text
    assert "default → gpt-5.4" in page
    gone = {name: limit[name] for name in ("csrf", "scope", "subject", "kind")}
    assert maria.post("/dashboard/limits/remove", data=gone).status_code == 303
    assert maria.post("/dashboard/rooms/remove", data={"csrf": csrf(maria), "name": "backend"}).status_code == 303
    assert (site.store.rooms(site.project.id), site.store.limits(site.project.id)) == ((), ())


def test_access_tokens(site: Site, maria: TestClient) -> None:
    answer = maria.post("/dashboard/access", data={"csrf": csrf(maria), "name": "board", "role": "viewer"})
    shown = re.search(r'<code id="secret">([^<]+)</code>', answer.text)
    assert shown
    token = site.store.check_access_token(shown[1])
    assert token is not None
    assert token.role is Role.VIEWER
    assert maria.post(f"/dashboard/access/{token.id}/revoke", data={"csrf": csrf(maria)}).status_code == 303
    assert site.store.check_access_token(shown[1]) is None


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=%ff", b"&".join(b"a%d=1" % number for number in range(100))])
def test_a_wrong_form_is_told(maria: TestClient, body: bytes) -> None:
    answer: Any = maria.post("/dashboard/keys", content=body)
    assert answer.status_code in {400, 403}


def test_a_store_that_is_away_is_said(site: Site, tmp_path: Path, maria: TestClient) -> None:
    class Away:
        def __getattr__(self, _: str) -> Any:
            from meshproxy_cli.store.base import StoreUnavailableError  # noqa: PLC0415

            raise StoreUnavailableError("The database is away.")

    services = replace(site.services, store=Away())
    site.app.state.services = services
    assert maria.get("/dashboard").status_code == 503
    assert "The database is away." in maria.get("/dashboard").text
    answer = site.client(site.admin).get("/accounts/projects")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert site.client().get("/readyz").status_code == 200
