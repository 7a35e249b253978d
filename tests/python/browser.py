"""A headless browser for tests: Chromium, spoken to through a pipe.

The DevTools protocol over two file descriptors needs neither a driver nor a port. Only what tests of local pages need
is here: opening a file, the mouse, and evaluating JavaScript.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    # Nothing may be looked up: a page that asks for anything must fail to get it.
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)
_LONGEST = 60.0
# The browser reads commands from descriptor 3 and answers on 4. The ends of the pipes may have these numbers
# themselves, so they are moved out of the way first.
_LAUNCH = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def program() -> str:
    """Chromium, or the test is skipped; with CI=true it fails instead."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    text = "there is no Chromium: sh scripts/install-system.sh browser installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


class Browser:
    """A browser with one page, for a ``with`` block."""

    def __init__(self, width: int = 1280, height: int = 1400, dark: bool = False) -> None:
        self._size = (width, height)
        self._dark = dark
        self._number = 0
        self._buffer = b""
        self.errors: list[str] = []
        """What went wrong in the page's scripts."""
        self.requests: list[str] = []
        """Every address that the page asked for."""

    def __enter__(self) -> Browser:
        self._folder = tempfile.mkdtemp(prefix="pantile-browser-")
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        arguments = [program(), *_ARGUMENTS, f"--user-data-dir={self._folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, str(read), str(write), *arguments],
            pass_fds=(read, write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read)
        os.close(write)
        self._session: str | None = None
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network"):
                self.call(f"{domain}.enable")
            width, height = self._size
            self.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            scheme = "dark" if self._dark else "light"
            self.call(
                "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
            )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The browser's own processes are in the session that was started for it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and gives its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _LONGEST
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            got = os.read(self._read, 1 << 16) if ready else b""
            if not got:
                raise RuntimeError("the browser has ended" if ready else "the browser does not answer")
            self._buffer += got
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        return message

    def open(self, path: Path, ready: str) -> None:
        """Opens a file and waits until the expression `ready` is true."""
        self.call("Page.navigate", url=path.as_uri())
        deadline = time.monotonic() + _LONGEST
        while not self._holds(ready):
            assert time.monotonic() < deadline, f"{path} does not become ready: {self.errors}"
            time.sleep(0.02)

    def _holds(self, expression: str) -> bool:
        try:
            return bool(self.get(expression))
        except RuntimeError:
            # There is no document while one page gives way to the next.
            return False

    def get(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """A mouse event: ``Moved``, ``Pressed``, ``Released`` or ``Wheel``."""
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **more)
        # The page draws in its next frame.
        self.get("new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(() => f(true))))")

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])
