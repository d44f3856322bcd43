#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens a page in headless Chromium and says what is wrong with it. Speaks WebDriver to chromedriver, and nothing else.

browser.py check PAGE AXE_JS      at 400, 1280 and 2560 pixels, light and dark: errors on the console, anything fetched, a body that
                                  is wider than the window, text that is cut by its drawing, what axe-core finds. Status 1 on any.
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
import urllib.error
import urllib.request

WIDTHS = (400, 1280, 2560)
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync"]


class Browser:
    """A chromedriver of our own, on a port of its choice, with one session; both end with it."""

    def __enter__(self):
        self.home = tempfile.mkdtemp(prefix="strata-browser-")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            match = re.search(r"started successfully on port (\d+)", line)
            if match:
                break
        else:
            raise SystemExit("chromedriver did not start")
        self.url = f"http://127.0.0.1:{match.group(1)}"
        options = {"args": FLAGS + [f"--user-data-dir={self.home}"], "binary": shutil.which("chromium")}
        made = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.url += f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *_):
        try:
            self.call("DELETE", "")
        except OSError:
            pass
        self.driver.terminate()
        self.driver.wait()
        shutil.rmtree(self.home, ignore_errors=True)

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
        self.call("POST", "/url", {"url": "file://" + os.path.abspath(page)})

    def errors(self):
        for entry in self.call("POST", "/se/log", {"type": "browser"}):
            yield f"console: {entry['level']}: {entry['message']}"


# Text that reaches out of its drawing sideways, where neither clipping nor a box that scrolls can show it.
CUT = """
const bad = [];
for (const text of document.querySelectorAll("svg.plot text")) {
  const box = text.getBoundingClientRect();
  if (box.width && (box.left < 0 || box.right > document.documentElement.clientWidth)) bad.push(text.textContent);
}
return bad;
"""


def problems(browser, page, axe, width, scheme):
    browser.open(page, width, scheme)
    yield from browser.errors()
    fetched = browser.script("return performance.getEntriesByType('resource').map(e => e.name)")
    yield from (f"fetches {name}" for name in fetched)
    wide = browser.script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        yield f"the body is {wide} pixels too wide"
    yield from (f"cut text: {text}" for text in browser.script(CUT))
    browser.script(axe)
    found = browser.call("POST", "/execute/async", {"args": [], "script":
                         "const done = arguments[0]; axe.run().then(r => done(r.violations), e => done([{id: String(e), nodes: []}]))"})
    for violation in found:
        where = "; ".join(node["html"][:160] for node in violation["nodes"][:3])
        yield f"axe: {violation['id']}: {violation.get('help', '')}: {where}"


def check(page, axe_path):
    with open(axe_path, encoding="utf-8") as file:
        axe = file.read()
    bad = 0
    with Browser() as browser:
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                for problem in problems(browser, page, axe, width, scheme):
                    print(f"{width} {scheme}: {problem}")
                    bad += 1
    print(f"{bad} problems in {os.path.basename(page)}")
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


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"] and len(sys.argv) == 4:
        sys.exit(check(*sys.argv[2:]))
    if sys.argv[1:2] == ["shot"] and 4 <= len(sys.argv) <= 6:
        sys.exit(shot(*sys.argv[2:]))
    sys.exit(__doc__)
