"""Drive a headless Chromium over its DevTools protocol: enough to load a page, look inside and see every request."""

import base64
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def executable() -> str | None:
    """Return the path of a Chromium on this machine, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Site:
    """Serve a folder on a free loopback port."""

    def __init__(self, folder: Path):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server.server_port}/"

    def __enter__(self) -> "Site":
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Chromium:
    """One browser with one page. No name but the loopback's resolves, so nothing can be fetched from elsewhere."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="cvprod-chromium-")
        self.process = subprocess.Popen(
            [
                executable(),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-default-apps",
                "--no-first-run",
                "--hide-scrollbars",
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "--remote-debugging-port=0",
                "--remote-allow-origins=*",
                f"--user-data-dir={self.profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"},
            start_new_session=True,
        )
        port_file = Path(self.profile, "DevToolsActivePort")
        for _ in range(600):
            if port_file.exists() and len(port_file.read_text().split()) == 2:
                break
            if self.process.poll() is not None:
                raise RuntimeError(f"Chromium ended at once with status {self.process.returncode}")
            time.sleep(0.1)
        port, path = port_file.read_text().split()
        self.socket = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", timeout=60, http_no_proxy=["127.0.0.1"]
        )
        self.session, self.count, self.events = None, 0, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params):
        """Send one protocol command and return its result; events that arrive meanwhile are kept."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str, *, width: int = 1400, height: int = 900, dark: bool = False, settle: bool = True) -> None:
        """Load a page in a window of this size and scheme, and wait until it and its requests are done.

        What would be laid out only near the screen is laid out: faults below the fold are faults. `settle` waits for
        its scripts too, which cannot be where scripts are switched off.
        """
        self.width = width
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.call("Emulation.setEmulatedMedia", features=[scheme, motion])
        self.events.clear()
        self.call("Page.navigate", url=url)
        until = time.monotonic() + 60
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            if time.monotonic() > until:
                raise TimeoutError(f"{url} did not finish loading")
            self.events.append(json.loads(self.socket.recv()))
        if settle:
            self.run("for (const cell of document.querySelectorAll('.cell')) cell.style.contentVisibility = 'visible'")
            self.run("new Promise(done => setTimeout(() => requestAnimationFrame(done), 150))")

    def run(self, script: str):
        """Evaluate an expression in the page (a promise is awaited) and return its value."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", "script failed"))
        return result["result"].get("value")

    def overflow(self) -> int:
        """CSS pixels by which the page is wider than the window asked for.

        Not than innerWidth: on a phone that grows with the content.
        """
        return self.run("document.documentElement.scrollWidth") - self.width

    def requests(self) -> list[str]:
        """Return the address of every request since the page was opened."""
        sent = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [item["request"]["url"] for item in sent if not item["request"]["url"].startswith(("data:", "blob:"))]

    def complaints(self) -> list[str]:
        """Return errors and warnings that the page wrote to the console, and what it threw."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            if event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                said = [str(part.get("value", part.get("description", ""))) for part in params["args"]]
                found.append(f"console.{params['type']}: {' '.join(said)}")
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description", "exception"))
        return found

    def screenshot(self, path: Path, *, full: bool = True) -> None:
        """Write a PNG of the page, whole or only the window."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=full)["data"]
        Path(path).write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser and remove its profile."""
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(timeout=10)
        except Exception:
            self.process.kill()
        self.socket.close()
        shutil.rmtree(self.profile, ignore_errors=True)
