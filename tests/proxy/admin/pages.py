"""Pages of the dashboard, as a test without a browser sees them."""

import re
from html.parser import HTMLParser

from starlette.testclient import TestClient

from fixtures.webserver import Site

VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """Finds what accessibility and the content security policy rest on."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.inline: list[str] = []
        self.tables = self.captions = 0
        self.unlabelled: list[dict[str, str | None]] = []
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.tables += tag == "table"
        self.captions += tag == "caption"
        target = given.get("src") or given.get("href") or given.get("action") or ""
        if target and not target.startswith(("/", "#", "/dashboard")):
            self.foreign.append(target)
        if tag == "script" and not given.get("src"):
            self.inline.append("script")
        if tag in {"input", "select", "textarea"} and given.get("type") != "hidden" and "label" not in self.open:
            self.unlabelled.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"


def log_in(site: Site, token: str) -> TestClient:
    client = site.client()
    assert client.post("/dashboard/login", data={"token": token}).status_code == 303
    return client


def csrf(client: TestClient, path: str = "/dashboard/keys") -> str:
    found = re.search(r'name="csrf" value="(\w+)"', client.get(path).text)
    assert found
    return found[1]
