"""A headless Chromium, driven over the DevTools protocol. It reaches loopback and nothing else."""

import base64
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync", "--no-first-run",
    "--hide-scrollbars", "--force-color-profile=srgb", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)  # fmt: skip
START_LIMIT_S = 30
WAIT_LIMIT_S = 15


class Browser:
    """One page. `complaints` are its errors and warnings, `requested` the addresses that it asked for."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        self.requested: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call the browser and return its result; events that come meanwhile are noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_LIMIT_S))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def run(self, script: str) -> Any:
        """Run a script in the page and return its value."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Return the script's value once it is truthy."""
        deadline = time.monotonic() + WAIT_LIMIT_S
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                pytest.fail(f"never true: {script}\n{self.run('document.body.innerText')}")
            time.sleep(0.05)
        return value

    def open(self, url: str) -> None:
        """Open a page and wait until it is there."""
        self._leave(lambda: self.call("Page.navigate", url=url))

    def press(self, selector: str) -> None:
        """Click what leads to another page, and wait for that."""
        self._leave(lambda: self.run(f"document.querySelector({json.dumps(selector)}).click()"))

    def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def key(self, name: str) -> None:
        """Press a key, such as Tab or Enter."""
        text = {"Enter": "\r"}.get(name, "")
        code = {"Tab": 9, "Enter": 13}[name]
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, text=text)

    def look(self, *, width: int, height: int, scheme: str) -> None:
        """Set the window's size and the color scheme that the person prefers."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)["data"])

    def _leave(self, act: Any) -> None:
        self.run("window.before = true")
        act()
        deadline = time.monotonic() + WAIT_LIMIT_S
        while time.monotonic() < deadline:
            try:
                if self.run("!window.before && document.readyState === 'complete'"):
                    return
            except AssertionError:
                pass  # the page that was asked is gone
            time.sleep(0.05)
        pytest.fail("no new page came")

    def _note(self, message: dict[str, Any]) -> None:
        given = message.get("params", {})
        if message.get("method") == "Log.entryAdded" and given["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(given["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(given["exceptionDetails"]))
        elif message.get("method") == "Network.requestWillBeSent":
            self.requested.append(given["request"]["url"])


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start Chromium with an empty profile; skip the test where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    process = subprocess.Popen(
        [CHROMIUM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        with connect(_page_of(profile, process), max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _page_of(profile: Path, process: "subprocess.Popen[bytes]") -> str:
    told = profile / "DevToolsActivePort"
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if told.exists() and (lines := told.read_text("utf-8").split()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json", timeout=5) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    pytest.fail("Chromium did not start")
