#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens pages in headless Chromium and says what is wrong with them. Speaks WebDriver to chromedriver, and nothing else.

browser.py check [--axe AXE_JS] PAGE...   at 400, 1280 and 2560 pixels, light and dark: errors on the console, anything fetched, a
                                  body that is wider than the window, text that is cut by its drawing, and what axe-core finds.
                                  Status 1 on any.
browser.py shot PAGE PNG [WIDTH [light|dark|print]]   the whole page as a picture
"""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

WIDTHS = (400, 1280, 2560)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync", "about:blank"]


class Browser:
    """A chromedriver of our own, on a port of its choice, with one session; both end with it."""

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="strata-browser-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True,
                                       env=dict(os.environ, HOME=self.home, TMPDIR=self.home))
        for line in self.driver.stdout:
            match = re.search(r"started successfully on port (\d+)", line)
            if match:
                break
        else:
            raise SystemExit("chromedriver did not start")
        self.url = f"http://127.0.0.1:{match.group(1)}"
        options = {"args": FLAGS + [f"--user-data-dir={self.home}"], "binary": shutil.which("chromium")}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.url += f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *_):
        try:
            self.call("DELETE", "")
        except OSError:
            pass
        self.driver.terminate()
        self.driver.wait()
        until = time.monotonic() + 10
        while os.path.exists(self.home) and time.monotonic() < until:
            shutil.rmtree(self.home, ignore_errors=True)  # Chromium's last processes may still write there

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"chromedriver: {json.load(error)['value']['message']}") from None

    def cdp(self, command, **params):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def script(self, text, *args):
        return self.call("POST", "/execute/sync", {"script": text, "args": list(args)})

    def open(self, page, width, scheme):
        media = "print" if scheme == "print" else "screen"
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.cdp("Emulation.setEmulatedMedia", media=media,
                 features=[{"name": "prefers-color-scheme", "value": "dark" if scheme == "dark" else "light"}])
        self.call("POST", "/url", {"url": "about:blank"})
        for kind in ("browser", "performance"):  # the page's own from here on
            self.call("POST", "/se/log", {"type": kind})
        self.call("POST", "/url", {"url": "file://" + os.path.abspath(page)})

    def errors(self):
        for entry in self.call("POST", "/se/log", {"type": "browser"}):
            yield f"console: {entry['level']}: {entry['message']}"

    def fetched(self):
        """What was asked for since the last call."""
        for entry in self.call("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                yield message["params"]["request"]["url"]


# Text that reaches out of its drawing sideways, where neither clipping nor a box that scrolls can show it.
CUT = """
const bad = [];
for (const text of document.querySelectorAll("svg.plot text")) {
  const box = text.getBoundingClientRect();
  if (box.width && (box.left < 0 || box.right > document.documentElement.clientWidth)) bad.push(text.textContent);
}
return bad;
"""


AXE = """
const done = arguments[0];
axe.run().then(r => done(r.violations), e => done([{id: String(e), nodes: []}]));
"""


def problems(browser, page, axe, width, scheme):
    browser.open(page, width, scheme)
    yield from browser.errors()
    yield from (f"fetches {url}" for url in browser.fetched() if not url.endswith("/" + os.path.basename(page)))
    wide = browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        yield f"the body is {wide} pixels too wide"
    yield from (f"cut text: {text}" for text in browser.script(CUT))
    if not axe:
        return
    browser.script(axe)
    for violation in browser.call("POST", "/execute/async", {"script": AXE, "args": []}):
        where = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        yield f"axe: {violation['id']}: {violation.get('help', '')}: {where}"


def check(axe_path, pages):
    axe, bad = None, 0
    if axe_path:
        with open(axe_path, encoding="utf-8") as file:
            axe = file.read()
    with Browser() as browser:
        for page in pages:
            for width in WIDTHS:
                for scheme in ("light", "dark"):
                    for problem in problems(browser, page, axe, width, scheme):
                        print(f"{os.path.basename(page)}, {width}, {scheme}: {problem}")
                        bad += 1
    print(f"{bad} problems in {len(pages)} pages")
    return 1 if bad else 0


def shot(page, target, width=1280, scheme="light"):
    with Browser() as browser:
        browser.open(page, int(width), scheme)
        picture = browser.cdp("Page.captureScreenshot", captureBeyondViewport=True, clip={
            "x": 0, "y": 0, "width": int(width), "scale": 1,
            "height": browser.script("return document.documentElement.scrollHeight")})
    with open(target, "wb") as file:
        file.write(base64.b64decode(picture["data"]))
    return 0


def main(args):
    if args[:1] == ["shot"] and 3 <= len(args) <= 5:
        return shot(*args[1:])
    if args[:2] == ["check", "--axe"] and len(args) >= 4:
        return check(args[2], args[3:])
    if args[:1] == ["check"] and len(args) >= 2:
        return check(None, args[1:])
    return __doc__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
