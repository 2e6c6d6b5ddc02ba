"""A headless Chromium, spoken to in its own language: the DevTools protocol, JSON over a WebSocket.

The few commands used here have been the same since 2017, so a driver of a hundred megabytes that
fits one release of the browser is not needed. https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
)
QUIET = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


def find() -> str | None:
    """The program, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def wait(ready: Callable[[], Any], seconds: float = 20.0, what: str = "") -> Any:
    """Ask until the answer is true, and return it; `TimeoutError` when it does not become so."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return answer


def address(folder: Path) -> str | None:
    """Where the browser with this profile listens; None until it has written it down whole."""
    file = folder / "DevToolsActivePort"
    port, _, path = (
        file.read_text(encoding="utf-8").partition("\n") if file.exists() else ("", "", "")
    )
    return f"ws://127.0.0.1:{port}{path}" if path else None


class Chromium:
    """A browser with an empty profile in `folder` and no way to the network but to this machine."""

    def __init__(self, program: str, folder: Path) -> None:
        from websocket import create_connection

        command = [program, *QUIET, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            where = wait(lambda: address(folder), 60, "start of the browser")
            self._socket = create_connection(where, timeout=60, suppress_origin=True)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self._asked = 0

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of one command; `RuntimeError` where the browser refuses it."""
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": params}
        self._socket.send(json.dumps({**message, "sessionId": session} if session else message))
        while (answer := json.loads(self._socket.recv())).get("id") != self._asked:
            pass  # an event, which nobody here waits for
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    def close(self) -> None:
        """End the browser and all of its processes."""
        try:
            self.call("Browser.close")
            self._socket.close()
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()


class Page:
    """A page with a store of its own: nothing of another page's is left in it."""

    def __init__(self, browser: Chromium, wide: int = 1600, high: int = 1000) -> None:
        self._browser, self._context = (
            browser,
            browser.call("Target.createBrowserContext")["browserContextId"],
        )
        target = browser.call(
            "Target.createTarget", url="about:blank", browserContextId=self._context
        )["targetId"]
        self._session = browser.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.resize(wide, high)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command to this page."""
        return self._browser.call(method, self._session, **params)

    def resize(self, wide: int, high: int) -> None:
        """Give the page's window a size in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=wide,
            height=high,
            deviceScaleFactor=1,
            mobile=False,
        )

    def prefer(self, **features: str) -> None:
        """What the reader's system is set to: `prefer(prefers_color_scheme="dark")`."""
        media = [
            {"name": name.replace("_", "-"), "value": value} for name, value in features.items()
        ]
        self.call("Emulation.setEmulatedMedia", features=media)

    def go(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise RuntimeError(f"{url}: {answer['errorText']}")
        wait(lambda: self.run("document.readyState") == "complete", what=url)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise; `RuntimeError` with
        what it threw.
        """
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(
                answer["exceptionDetails"].get("exception", answer["exceptionDetails"])
            )
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key, down and up again; `code` is its Windows virtual key code."""
        name = {" ": "Space"}.get(key, key)
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            typed = {"text": text} if kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=name,
                windowsVirtualKeyCode=code,
                **typed,
            )

    def screenshot(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        """Close the page and forget its store."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self._context)
