"""No value of any parameter of the dashboard or REST makes a handler fail: on both engines, over all routes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from fixtures.webserver import Site, event, make_site
from meshproxy_cli.proxy.admin import dashboard
from meshproxy_cli.proxy.admin.rest import ENDPOINTS
from meshproxy_cli.store import open_store
from meshproxy_cli.store.records import Role
from proxy.admin.pages import csrf, log_in

NASTY = (
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    *(
        "1970-01-01",
        "9998-12-31",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+23:59",
        "2026-02-30",
        "20261101",
        "2026-W01",
    ),
    *("\0", "a\0b", "\ud800", "\udcff", "\u202e", "\r\nx: y", "", " ", "'", '"', "%", "\\", "💥", "{{7*7}}"),
    *(
        "-1",
        "0",
        "1",
        "10000",
        "10001",
        "9" * 19,
        "9" * 400,
        "-" + "9" * 400,
        "1e400",
        "1e999999999",
        "nan",
        "inf",
        "-0.0",
    ),
    *("true", "null", "[]", "{}", "admin", "viewer", "day,hour,room", "oldest", "newest", "x" * 3000),
)
TEXTS = st.one_of(st.sampled_from(NASTY), st.datetimes().map(lambda moment: moment.isoformat()), st.text(max_size=20))
NAMES = (
    *(
        "since",
        "until",
        "period",
        "room",
        "session",
        "participant",
        "model",
        "provider",
        "by",
        "after",
        "next",
        "start",
    ),
    *(
        "end",
        "interval",
        "report",
        "limit",
        "order",
        "before",
        "name",
        "role",
        "description",
        "token",
        "hard",
        "amount",
    ),
    *("scope", "subject", "kind", "models", "aliases", "openai", "anthropic", "csrf", "key_id", "id", "providers"),
)
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), TEXTS), max_size=6)
VALUES = st.one_of(
    TEXTS, st.integers(), st.floats(), st.none(), st.booleans(), st.lists(TEXTS, max_size=2), st.just({})
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote_plus(value, errors='surrogatepass')}" for name, value in pairs)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def any_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory: Path = tmp_path_factory.mktemp("parameters")
    site = make_site(directory)
    if request.param == "postgresql":
        site.store.close()
        store = open_store(request.getfixturevalue("postgres").create_database(), master_key=b"k" * 32)
        project = store.projects.ensure()
        _, admin = store.access_tokens.create("maria", Role.ADMIN)
        other = make_site(directory, store=store)
        site = Site(store, project, admin, admin, other.app, other.services)
    site.store.events.add([event(site)])
    yield site
    site.store.close()


ROUTES = sorted(
    {
        (route.path, method)
        for route in dashboard.ROUTES
        for method in route.methods or ()
        if method != "HEAD" and route.path != "/dashboard/logout"
    }
)
CALLS = [(endpoint.path, endpoint.method) for endpoint in ENDPOINTS]


def fill(path: str, site: Site, text: str) -> str:
    path = path.replace("{project_id}", site.project.id)
    return re.sub(r"\{\w+\}", lambda _: quote(text, safe="", errors="surrogatepass"), path)


def assert_handled(answer: Any, target: str) -> None:
    assert answer.status_code < 500, (target[:300], answer.text[:500])


CHECKED = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_pages(any_site: Site, path: str, method: str) -> None:
    client = log_in(any_site, any_site.admin)
    form = csrf(client)

    @CHECKED
    @given(part=TEXTS, query=PAIRS, fields=PAIRS)
    def check(part: str, query: list[tuple[str, str]], fields: list[tuple[str, str]]) -> None:
        target = f"{fill(path, any_site, part)}?{encoded(query)}"
        body = encoded([*fields, ("csrf", form)]) if method == "POST" else None
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = client.request(method, target, content=body, headers=headers)
        assert_handled(answer, target)

    check()


@pytest.mark.parametrize(("path", "method"), CALLS)
def test_calls(any_site: Site, path: str, method: str) -> None:
    client = any_site.client(any_site.admin)

    @CHECKED
    @given(part=TEXTS, query=PAIRS, body=BODIES)
    def check(part: str, query: list[tuple[str, str]], body: dict[str, Any]) -> None:
        target = f"{fill(path, any_site, part)}?{encoded(query)}"
        content = json.dumps(body).encode() if method in {"POST", "PUT"} else None
        assert_handled(client.request(method, target, content=content), target)

    check()


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("path", ["/dashboard", "/dashboard/usage", "/dashboard/requests", "/dashboard/rooms"])
def test_each_filter(any_site: Site, path: str, text: str) -> None:
    client: TestClient = log_in(any_site, any_site.admin)
    for name in ("since", "until", "start", "room", "after", "by", "period"):
        answer = client.get(f"{path}?{encoded([(name, text), (name, text)])}")
        assert_handled(answer, f"{path} {name}={text!r}")


def test_an_invalid_date_is_told(site: Site) -> None:
    for path in ("/dashboard", "/dashboard/usage", "/dashboard/requests"):
        answer = log_in(site, site.admin).get(path + "?until=0001-01-01T00:00:00Z")
        assert answer.status_code == 400
        assert "invalid date" in answer.text
