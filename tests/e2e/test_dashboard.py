"""The dashboard of a running Room Proxy in a real Chromium: its numbers are the provider's own."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from openai import OpenAI

from e2e.browser import Browser, chromium
from fixtures.proxies import RoomProxy
from fixtures.showcase import month
from meshproxy_cli.store import open_store
from meshproxy_cli.tokens.apikey import ApiKey

pytestmark = pytest.mark.e2e

CALLS = 4
TABLE = """[...document.querySelectorAll('#{id} tbody tr')].map(row => [...row.children].map(cell =>
  (cell.querySelector('data') ? cell.querySelector('data').value : cell.querySelector('a, span')?.textContent
    ?? cell.textContent).trim()))"""
# Text with less than 4.5 to 1 against what is behind it (WCAG 2.1, success criterion 1.4.3).
CONTRAST = """(() => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = v => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const color = parse(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const element of document.querySelectorAll('main *, header *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const front = luminance(parse(element.closest('svg') ? style.fill : style.color));
    const back = luminance(behind(element));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) low.push([element.textContent.trim().slice(0, 30), ratio]);
  }
  return low;
})()"""
# What reaches beyond the window, and does not scroll in a box of its own.
TOO_WIDE = """[...document.querySelectorAll('main *, header *')].filter(element =>
  element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.scroll, nav')
).map(element => element.outerHTML.slice(0, 120))"""
PICTURES = os.environ.get("MESHPROXY_TEST_PICTURES")  # a directory for the pictures of the documentation
LARGEST_PICTURE = 150_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture(scope="module")
def admin(room_proxy: RoomProxy) -> str:
    return room_proxy.cli("access", "create", "maria", "--role", "admin").stdout.strip()


@pytest.fixture(scope="module")
def viewer(room_proxy: RoomProxy) -> str:
    return room_proxy.cli("access", "create", "finance", "--role", "viewer").stdout.strip()


def log_in(page: Browser, room_proxy: RoomProxy, token: str, path: str = "/dashboard") -> None:
    page.call("Network.clearBrowserCookies")
    page.complaints.clear()
    page.requested.clear()
    page.open(room_proxy.url + path)
    assert page.run("location.pathname") == "/dashboard/login"
    page.type("[name=token]", token)
    page.press("form button")
    assert page.run("location.pathname + location.search") == path


def shown(page: Browser, ident: str) -> str:
    return str(page.wait_for(f"document.querySelector('#{ident} data')?.value"))


@pytest.mark.timeout(180)
def test_the_numbers_are_the_providers(page: Browser, room_proxy: RoomProxy, admin: str) -> None:
    provider = room_proxy.provider
    provider.forget()
    for identity, session in (("ana", "codex-ana"), ("tom", "codex-tom")):
        token = room_proxy.token("browser", identity=identity)
        with OpenAI(
            base_url=room_proxy.openai("browser"),
            api_key=token,
            default_headers={"Meshagent-Session": session},
            max_retries=0,
        ) as client:
            for number in range(CALLS):
                with client.responses.create(model="gpt-5.4", input=f"ping {number}", stream=True) as stream:
                    list(stream)
    counted = provider.reported
    assert len(counted) == 2 * CALLS
    report = room_proxy.usage("--room", "browser", requests=2 * CALLS)
    cost = Decimal(str(report["totals"]["cost_usd"]))
    assert cost > 0

    log_in(page, room_proxy, admin, "/dashboard?room=browser")
    assert shown(page, "total-requests") == str(2 * CALLS)
    assert shown(page, "total-input") == str(sum(one.input_tokens for one in counted))
    assert shown(page, "total-output") == str(sum(one.output_tokens for one in counted))
    assert Decimal(shown(page, "total-cost")) == cost
    rows = page.run(TABLE.format(id="by-participant"))
    halves = {
        "ana": sum(one.input_tokens + one.output_tokens for one in counted[:CALLS]),
        "tom": sum(one.input_tokens + one.output_tokens for one in counted[CALLS:]),
    }
    assert {name: int(tokens) for name, tokens, _ in rows} == halves
    assert sum(Decimal(row[2]) for row in rows) == cost

    page.press("#by-session a[href*='codex-ana']")
    assert page.run("new URLSearchParams(location.search).get('session')") == "codex-ana"
    assert shown(page, "total-requests") == str(CALLS)
    page.open(room_proxy.url + "/dashboard/requests?room=browser&session=codex-ana")
    requests = page.run(TABLE.format(id="requests"))
    newest_first = [(int(row[5]), int(row[7])) for row in requests]
    assert newest_first == [(one.input_tokens, one.output_tokens) for one in reversed(counted[:CALLS])]
    page.open(room_proxy.url + "/dashboard/usage?room=browser&by=session,model")
    total = page.run("[...document.querySelectorAll('#usage tfoot data')].map(item => item.value)")
    assert int(total[0]) == 2 * CALLS
    assert Decimal(total[-1]) == cost
    assert page.complaints == []
    assert [address for address in page.requested if not address.startswith((room_proxy.url, "data:"))] == []


@pytest.mark.timeout(120)
def test_a_key_is_made_and_revoked(page: Browser, room_proxy: RoomProxy, admin: str) -> None:
    log_in(page, room_proxy, admin, "/dashboard/keys")
    page.type("[name=name]", "from-the-browser")
    page.press("form.row button")
    key = ApiKey.parse(page.run("document.querySelector('#secret').textContent"))
    room_proxy.cli.guard(key.encode(), key.secret)
    listed = room_proxy.cli("api-key", "list", "--json").stdout
    assert key.id in listed
    page.open(room_proxy.url + "/dashboard/keys")
    assert key.secret not in page.run("document.documentElement.outerHTML")
    assert page.run("document.cookie") == ""
    form = f"form[action='/dashboard/keys/{key.id}/revoke']"
    page.run(f"document.querySelector(\"{form}\").closest('details').querySelector('summary').click()")
    page.press(f"{form} button")
    row = page.run(
        f"[...document.querySelectorAll('#keys tr')].find(r => r.textContent.includes('{key.id}')).innerText"
    )
    assert re.search(r"revoked \d{4}-", row)
    assert page.complaints == []


@pytest.mark.timeout(120)
def test_a_viewer_reads(page: Browser, room_proxy: RoomProxy, viewer: str) -> None:
    log_in(page, room_proxy, viewer)
    for path in ("/dashboard/keys", "/dashboard/rooms"):
        page.open(room_proxy.url + path)
        assert page.run("document.querySelectorAll('main form').length") == 0
    assert page.run("[...document.querySelectorAll('nav a')].map(a => a.textContent)")[-1] == "API keys"
    page.press("form.who button")
    page.open(room_proxy.url + "/dashboard")
    assert page.run("location.pathname") == "/dashboard/login"


@pytest.mark.timeout(120)
def test_the_keyboard_suffices(page: Browser, room_proxy: RoomProxy, admin: str) -> None:
    page.call("Network.clearBrowserCookies")
    page.open(room_proxy.url + "/dashboard")
    page.run("document.activeElement.blur()")
    page.wait_for("!!document.querySelector('[name=token]')")
    page.type("[name=token]", admin)
    page.key("Enter")
    page.wait_for("location.pathname === '/dashboard' && document.readyState === 'complete'")
    page.key("Tab")
    assert page.run("document.activeElement.textContent") == "Skip to the content"
    assert page.run("document.activeElement.getBoundingClientRect().top >= 0"), "the skip link shows when focused"
    page.key("Enter")
    page.wait_for("document.activeElement.id === 'main' || location.hash === '#main'")
    seen = []
    for _ in range(6):
        page.key("Tab")
        seen.append(page.run("document.activeElement.textContent.trim().split('\\n')[0]"))
        outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", f"no focus ring on {seen[-1]}"
    assert seen[0].startswith("Last 24 hours")


@pytest.mark.timeout(180)
def test_both_schemes_and_a_phone(page: Browser, room_proxy: RoomProxy, admin: str, tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{room_proxy.home.state / 'data' / 'meshproxy.db'}")
    project = store.projects.ensure()
    store.events.add(month(project.id, datetime.now(UTC)))
    store.close()
    target = Path(PICTURES) if PICTURES else tmp_path
    log_in(page, room_proxy, admin)
    backgrounds = set()
    for name, width, height, scheme in (
        ("dashboard-light", 1180, 860, "light"),
        ("dashboard-dark", 1180, 860, "dark"),
        ("dashboard-phone", 390, 844, "light"),
    ):
        page.look(width=width, height=height, scheme=scheme)
        page.open(room_proxy.url + "/dashboard?period=30d")
        backgrounds.add(page.run("getComputedStyle(document.body).backgroundColor"))
        for path in ("/dashboard/usage?by=room,model,day", "/dashboard/requests", "/dashboard/rooms", "/dashboard/keys",
                     "/dashboard/access", "/dashboard?period=30d"):  # fmt: skip
            page.open(room_proxy.url + path)
            assert page.run("document.documentElement.scrollWidth") <= width, f"{path}: {page.run(TOO_WIDE)}"
        picture = page.screenshot()
        assert len(picture) < LARGEST_PICTURE
        (target / f"{name}.png").write_bytes(picture)
        assert page.run(CONTRAST) == []
    assert len(backgrounds) == 2
    page.open(room_proxy.url + "/dashboard?period=30d")
    page.run("document.querySelector('.numbers summary').click()")
    totals = page.run("[...document.querySelectorAll('#cost-title')].length")
    assert totals == 1
    assert page.complaints == []
