"""Opens a page in headless Chromium and says what a reader would meet. Only the standard library.

    look.py PAGE [FOLDER]

Prints JSON: for each form (desktop, phone, dark, print) the width that the page needs, elements whose text is wider than
they are, whether the picture is blank; and once what was asked of the network, what the console said, counts of what is in
the document, and the lines of each printed page. With FOLDER, the pictures are kept there as FORM.png and print.pdf.

Chromium is driven through its DevTools protocol over two pipes (descriptors 3 and 4): JSON, each message ended by a zero.
"""

import base64
import json
import os
import pathlib
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

SECONDS = 90
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FORMS = {
    "desktop": {"width": 1280, "height": 900, "scheme": "light", "media": ""},
    "phone": {"width": 390, "height": 844, "scheme": "light", "media": ""},
    "dark": {"width": 1280, "height": 900, "scheme": "dark", "media": ""},
    "phone-dark": {"width": 390, "height": 844, "scheme": "dark", "media": ""},
    "print": {"width": 794, "height": 1123, "scheme": "light", "media": "print"},
}
# What a reader would see as broken: text that leaves its box, or a box that leaves the page.
BROKEN = """(() => {
  const wide = [];
  const page = document.documentElement.clientWidth;
  for (const element of document.querySelectorAll('body *')) {
    if (element.closest('svg') && element.tagName !== 'svg') continue;
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (box.width === 0 || style.visibility === 'hidden' || element.closest('.skip, thead')) continue;
    if (box.right > page + 1 || box.left < -1) wide.push(element.tagName + '.' + element.className + ': ' + element.textContent.slice(0, 60));
    else if (element.scrollWidth > element.clientWidth + 1 && style.display !== 'inline') wide.push(element.tagName + ' text: ' + element.textContent.slice(0, 60));
  }
  for (const svg of document.querySelectorAll('svg[role=img]')) {
    const outer = svg.getBoundingClientRect();
    if (outer.width === 0) continue;
    for (const text of svg.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (box.right > outer.right + 1 || box.left < outer.left - 1) wide.push('svg text: ' + text.textContent);
      const sibling = text.parentElement.querySelector(':scope > rect');
      const inner = sibling && sibling.getBoundingClientRect();
      if (inner && text.parentElement.tagName === 'g' && box.right > inner.right + 1) wide.push('svg tile: ' + text.textContent);
    }
  }
  return {needs: document.documentElement.scrollWidth, has: page, broken: wide.slice(0, 20)};
})()"""
DOCUMENT = """(() => {
  const visible = element => element.getBoundingClientRect().width > 0;
  return {
    title: document.title,
    headings: [...document.querySelectorAll('h1,h2,h3')].map(h => h.tagName + ' ' + h.textContent),
    tables: [...document.querySelectorAll('table')].map(t => ({
      columns: [...t.tHead.rows[0].cells].map(c => c.textContent),
      scopes: [...t.tHead.rows[0].cells].every(c => c.scope === 'col'),
      rows: t.tBodies[0].rows.length,
      even: [...t.tBodies[0].rows].every(r => r.cells.length === t.tHead.rows[0].cells.length),
    })),
    pictures: [...document.querySelectorAll('svg[role=img]')].map(s => ({
      title: s.querySelector(':scope > title')?.textContent ?? '',
      description: s.querySelector(':scope > desc')?.textContent ?? '',
      labelled: s.getAttribute('aria-labelledby').split(' ').every(id => document.getElementById(id)),
      shown: visible(s), shapes: s.querySelectorAll('rect').length,
    })),
    ids: (() => { const all = [...document.querySelectorAll('[id]')].map(e => e.id); return all.length - new Set(all).size; })(),
    scripts: document.scripts.length,
    foreign: document.querySelectorAll('img,iframe,object,embed,link,base,form,video,audio,math,foreignObject,a[href]:not([href^="#"]),[onload],[onclick],[onerror],[style]').length,
    marked: document.querySelectorAll('.bad,.alarm').length,
    styled: getComputedStyle(document.body).fontSize,
    text: document.body.innerText,
  };
})()"""


class Browser:
    """A browser that can be told things and asked things."""

    def __init__(self, program, profile):
        to_read, self.writer = os.pipe()
        self.reader, to_write = os.pipe()
        # The browser expects its pipes as descriptors 3 and 4; the shell puts them there.
        command = 'exec 3<&"$0" 4>&"$1"; shift; exec "$@"'
        flags = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--disable-dev-shm-usage", "--force-color-profile=srgb", f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", command, str(to_read), str(to_write), program, *flags],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": profile})
        os.close(to_read)
        os.close(to_write)
        self.rest, self.count, self.events = b"", 0, []
        self.until = time.monotonic() + SECONDS

    def message(self):
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.reader], [], [], max(0, self.until - time.monotonic()))
            piece = os.read(self.reader, 1 << 16) if ready else b""
            if not piece:
                raise SystemExit("look.py: the browser said nothing more")
            self.rest += piece
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, session=None, **parameters):
        self.count += 1
        request = {"id": self.count, "method": method, "params": parameters}
        if session:
            request["sessionId"] = session
        os.write(self.writer, json.dumps(request).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.count:
                if "error" in message:
                    raise SystemExit(f"look.py: {method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def wait_for(self, method):
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self.message())

    def close(self):
        os.close(self.writer)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def colours(png):
    """How many different rows of pixels and different pixels a PNG has, without a library."""
    at, data, width, depth = 8, b"", 0, 0
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, _, bits, colour = struct.unpack(">IIBB", body[:10])
            depth = {2: 3, 6: 4}[colour] * bits // 8
        elif kind == b"IDAT":
            data += body
        at += size + 12
    raw, line, stride = zlib.decompress(data), bytearray(width * depth), width * depth
    seen = set()
    for start in range(0, len(raw), stride + 1):
        kind, row = raw[start], bytearray(raw[start + 1:start + 1 + stride])
        for i in range(stride):
            left = row[i - depth] if i >= depth else 0
            up = line[i]
            corner = line[i - depth] if i >= depth else 0
            if kind == 1:
                row[i] = (row[i] + left) & 255
            elif kind == 2:
                row[i] = (row[i] + up) & 255
            elif kind == 3:
                row[i] = (row[i] + (left + up) // 2) & 255
            elif kind == 4:
                guess = left + up - corner
                distance = (abs(guess - left), abs(guess - up), abs(guess - corner))
                row[i] = (row[i] + (left, up, corner)[distance.index(min(distance))]) & 255
        line = row
        seen.update(bytes(row[i:i + depth]) for i in range(0, stride, depth * 3))
    return len(seen)


def paper(pdf):
    """The lines of text on each page of a PDF."""
    if not shutil.which("pdftotext"):
        raise SystemExit("look.py: pdftotext is missing: run `make test-deps` as root, or install poppler-utils")
    text = subprocess.run(["pdftotext", "-", "-"], input=pdf, capture_output=True, check=True).stdout.decode()
    # Each page ends with a form feed.
    return [[line.strip() for line in page.splitlines() if line.strip()] for page in text.split("\f")[:-1]]


def main():
    page = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else None
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not program:
        raise SystemExit("look.py: chromium is missing: run `make test-deps` as root, or install it")
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, profile)
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

        def ask(method, **parameters):
            return browser.ask(method, session, **parameters)

        def value(expression):
            answer = ask("Runtime.evaluate", expression=expression, returnByValue=True)
            if "exceptionDetails" in answer:
                raise SystemExit(f"look.py: {answer['exceptionDetails']}")
            return answer["result"].get("value")

        for domain in ("Page", "Network", "Log", "Runtime"):
            ask(f"{domain}.enable")
        ask("Page.navigate", url=page.as_uri())
        browser.wait_for("Page.loadEventFired")
        report = {"forms": {}}
        for name, form in FORMS.items():
            ask("Emulation.setDeviceMetricsOverride", width=form["width"], height=form["height"], deviceScaleFactor=1,
                mobile=form["width"] < 500)
            ask("Emulation.setEmulatedMedia", media=form["media"],
                features=[{"name": "prefers-color-scheme", "value": form["scheme"]}])
            if name == "desktop":
                report["document"] = value(DOCUMENT)
            # All lists open: what is hidden can be broken too.
            value("document.querySelectorAll('details').forEach(d => { d.dataset.was = d.open; d.open = true; })")
            report["forms"][name] = value(BROKEN)
            report["forms"][name]["background"] = value("getComputedStyle(document.body).backgroundColor")
            value("document.querySelectorAll('details').forEach(d => { d.open = d.dataset.was === 'true'; })")
            viewport = ask("Page.captureScreenshot", format="png")["data"]
            report["forms"][name]["colours"] = colours(base64.b64decode(viewport))
            if folder:
                whole = ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
                (folder / f"{name}.png").write_bytes(base64.b64decode(whole))
        events = browser.events
        asked = [e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"]
        report["asked"] = [url for url in asked if url != page.as_uri()]
        report["loaded"] = page.as_uri() in asked
        report["said"] = [e["params"] for e in events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
        pdf = base64.b64decode(ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])
        if folder:
            (folder / "print.pdf").write_bytes(pdf)
        report["paper"] = paper(pdf)
        browser.close()
    json.dump(report, sys.stdout, indent=1)


main()
