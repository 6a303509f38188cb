"""The page as an annotator uses it: pixels of the picture in, what the page shows out."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

_PAGE = "const {page} = await import('/static/page.js');"


class Annotator:
    """One browser tab on the page; every method returns when all is saved."""

    def __init__(self, context, url):
        self.tab = context.new_page()
        self.url = url
        self.faults, self.strangers = [], []
        self.tab.on("console", self._hear)
        self.tab.on("pageerror", lambda error: self.faults.append(str(error)))
        self.tab.on("request", self._watch)
        self.tab.goto(url)
        self.tab.wait_for_selector("#canvas[data-tool]")

    def _hear(self, message):
        # Our own reading of colours, not the page's, is what Canvas2D warns of.
        if message.type in ("error", "warning") and "Canvas2D" not in message.text:
            self.faults.append(message.text)

    def _watch(self, request):
        if urlsplit(request.url).netloc not in (urlsplit(self.url).netloc, ""):
            self.strangers.append(request.url)

    def ask_page(self, script, *words):
        """Runs the body of an async function that sees `page` and its arguments `a`."""
        return self.tab.evaluate(f"async (a) => {{ {_PAGE} {script} }}", list(words))

    def settle(self):
        self.ask_page(
            "await page.work?.queue.idle();"
            "for (const _ of [1, 2]) await new Promise(requestAnimationFrame);"
        )

    def open(self, *paths):
        before = self.session
        self.tab.set_input_files("#file", [str(path) for path in paths])
        self.wait_for_session(other_than=before)

    def wait_for_session(self, *, other_than):
        self.tab.wait_for_function(
            "before => location.hash && location.hash !== `#s=${before}`"
            " && document.getElementById('saved').textContent",
            arg=other_than,
        )
        self.settle()

    @property
    def session(self):
        return self.tab.url.partition("#s=")[2] or None

    def at(self, x, y):
        """A pixel of the picture -> its centre in the window."""
        return self.ask_page(
            "const box = document.getElementById('canvas').getBoundingClientRect();"
            "const at = page.camera.toCanvas(a[0] + 0.5, a[1] + 0.5);"
            "return [box.left + at.x, box.top + at.y];",
            *(x, y),
        )

    def click(self, x, y, *, button="left", keys=()):
        for key in keys:
            self.tab.keyboard.down(key)
        self.tab.mouse.click(*self.at(x, y), button=button)
        for key in keys:
            self.tab.keyboard.up(key)
        self.settle()

    def drag(self, *points, button="left"):
        (first, *others) = (self.at(x, y) for x, y in points)
        self.tab.mouse.move(*first)
        self.tab.mouse.down(button=button)
        for point in others:
            self.tab.mouse.move(*point, steps=4)
        self.tab.mouse.up(button=button)
        self.settle()

    def press(self, key):
        self.tab.keyboard.press(key)
        self.settle()

    def push(self, name):
        """Pushes a button by the name of what it does."""
        self.tab.locator(f"[data-do={name}]:visible").first.click()
        self.settle()

    @property
    def shown(self):
        """The objects as the page has them: name, colour, finished, clicks, area."""
        return self.ask_page(
            "return page.work.items.map(({number, name, colour, finished, clicks, mask})"
            " => ({number, name, colour, finished, area: mask.area,"
            " clicks: clicks.map(({x, y, positive}) => [x, y, positive])}));"
        )

    @property
    def current(self):
        """The current object as the page has it, or None."""
        number = self.ask_page("return page.work.current?.number ?? null;")
        return next((one for one in self.shown if one["number"] == number), None)

    def colour_at(self, x, y):
        """RGB of the canvas over a pixel of the picture."""
        return self.ask_page(
            "const canvas = document.getElementById('canvas');"
            "const {x, y} = page.camera.toCanvas(a[0] + 0.5, a[1] + 0.5);"
            "const at = [x, y].map((v) => Math.floor(v * devicePixelRatio));"
            "return [...canvas.getContext('2d').getImageData(...at, 1, 1).data]"
            ".slice(0, 3);",
            *(x, y),
        )

    def state(self):
        """The session as the server knows it."""
        answer = self.tab.request.get(f"{self.url}api/sessions/{self.session}")
        assert answer.ok, answer.text()
        return answer.json()

    def masks(self):
        """Masks as the server knows them: number -> bool [h w]."""
        return {one["number"]: decode(one["mask"]) for one in self.state()["objects"]}

    def export(self, form):
        """Saves a file through the menu; gives its name and bytes."""
        with self.tab.expect_download() as download:
            self.tab.click("#export")
            self.tab.click(f"[data-export={form}]")
        path = Path(download.value.path())
        return download.value.suggested_filename, path.read_bytes()

    def notice(self):
        """The sentence that the page shows."""
        return self.tab.locator(".notice").last.inner_text()


def decode(runs):
    """COCO's uncompressed run lengths -> bool [h w]."""
    values = np.arange(len(runs["counts"])) % 2 == 1
    return np.repeat(values, runs["counts"]).reshape(runs["size"], order="F")


def read_coco(data):
    """COCO json -> number -> annotation."""
    return {one["id"]: one for one in json.loads(data)["annotations"]}
