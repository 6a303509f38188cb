"""Drive the annotation page like a user: input in image pixels, output from the page."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import Bool

PRESS_MS = (20, 200)
"""Shortest and longest time for which a hand holds a key or a mouse button."""

_IMPORT_STATE = "const {state} = await import('/static/page/state.js');"


class PageDriver:
    """A browser tab with the page.

    Keys and buttons are held as long as a hand holds them. Actions return when the server
    has applied them and the page is redrawn.

    Attributes:
        tab: Playwright's `Page`.
        server_url: URL of the server with a trailing slash.
        console_errors: Errors and warnings on the console.
        external_requests: URLs of other servers that the page requested.
    """

    def __init__(self, context, server_url: str) -> None:
        """Open the page in a new tab of a Playwright `BrowserContext`."""
        self.tab = context.new_page()
        self._random = random.Random(0)
        self.server_url = server_url
        self.console_errors: list[str] = []
        self.external_requests: list[str] = []
        self.tab.on("console", self._record_console_message)
        self.tab.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.tab.on("request", self._record_external_request)
        self.tab.goto(server_url)
        # The attribute is set by the first rendering.
        self.tab.wait_for_selector("#canvas[data-tool]")

    def _record_console_message(self, message) -> None:
        # Canvas2D warns of `canvas_color`, which is not part of the page.
        if message.type in ("error", "warning") and "Canvas2D" not in message.text:
            self.console_errors.append(message.text)

    def _record_external_request(self, request) -> None:
        server_netloc = urlsplit(self.server_url).netloc
        if urlsplit(request.url).netloc not in (server_netloc, ""):
            self.external_requests.append(request.url)

    @property
    def press_ms(self) -> int:
        """Random time for which a key or a button is held, in milliseconds."""
        return self._random.randint(*PRESS_MS)

    def run_script(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function that sees `state` and its arguments `a`."""
        # Modules are loaded once, so this is the state of the page itself.
        function = f"async (a) => {{ {_IMPORT_STATE} {script} }}"
        return self.tab.evaluate(function, list(arguments))

    def wait_until_saved(self) -> None:
        """Wait until all requests have been answered and the page is redrawn."""
        # The second frame starts after the first one has been drawn.
        self.run_script(
            "await state.session?.requestQueue.whenIdle();"
            "for (const _ of [1, 2]) await new Promise(requestAnimationFrame);"
        )

    def open_images(self, *paths: Path) -> None:
        """Open files through the file dialog; the first one is shown."""
        previous_session = self.session_id
        self.tab.set_input_files("#image-file-input", [str(path) for path in paths])
        self.wait_for_session(other_than=previous_session)

    def open_listed(self, name: str) -> None:
        """Click on an image of the list and wait until it is open."""
        self.tab.locator(f"#image-list button[title='{name}']").click()
        self.wait_for_image(name)

    def wait_for_image(self, name: str) -> None:
        """Wait until the image with this name is open."""
        self.tab.wait_for_function("name => document.title === name", arg=name)
        self.wait_until_saved()

    def wait_for_status(self, text: str) -> None:
        """Wait until the status bar shows a text about what is saved."""
        self.tab.wait_for_selector(f"#save-status:has-text({json.dumps(text)})")

    def wait_for_session(self, *, other_than: str | None) -> None:
        """Wait until a session is open whose ID differs from the given one."""
        # A new URL comes before the first rendering of its session.
        self.tab.wait_for_function(
            "previous => location.hash && location.hash !== `#session=${previous}`"
            " && document.getElementById('save-status').textContent",
            arg=other_than,
        )
        self.wait_until_saved()

    @property
    def session_id(self) -> str | None:
        """ID of the session that the URL names."""
        return self.tab.url.partition("#session=")[2] or None

    def window_position(self, x: float, y: float) -> list[float]:
        """Return the center of an image pixel in CSS pixels of the window."""
        return self.run_script(
            "const canvas = document.getElementById('canvas');"
            "const canvasRect = canvas.getBoundingClientRect();"
            "const {x, y} = state.viewport.toCanvas(a[0] + 0.5, a[1] + 0.5);"
            "return [canvasRect.left + x, canvasRect.top + y];",
            *(x, y),
        )

    def click(
        self, x: float, y: float, *, button: str = "left", keys: Sequence[str] = ()
    ) -> None:
        """Click on an image pixel while keys are held."""
        for key in keys:
            self.tab.keyboard.down(key)
        position = self.window_position(x, y)
        self.tab.mouse.click(*position, button=button, delay=self.press_ms)
        for key in keys:
            self.tab.keyboard.up(key)
        self.wait_until_saved()

    def drag(self, *points: tuple[float, float], button: str = "left") -> None:
        """Drag from the first image pixel over all others."""
        (start, *positions) = (self.window_position(x, y) for x, y in points)
        self.tab.mouse.move(*start)
        self.tab.mouse.down(button=button)
        # Four events per segment, as a moving mouse sends several.
        for position in positions:
            self.tab.mouse.move(*position, steps=4)
        self.tab.mouse.up(button=button)
        self.wait_until_saved()

    def press_key(self, key: str) -> None:
        """Press and release a key."""
        self.tab.keyboard.press(key, delay=self.press_ms)
        self.wait_until_saved()

    def press_button(self, action: str) -> None:
        """Click on the button of an action of `actions.js`."""
        button = self.tab.locator(f"[data-action={action}]:visible").first
        button.click(delay=self.press_ms)
        self.wait_until_saved()

    def key_of_label(self, name: str) -> str:
        """Return the key of a label; adds the label to the list of the server."""
        labels_url = f"{self.server_url}api/labels"
        labels = self.tab.request.get(labels_url).json()["labels"]
        names = [label["name"] for label in labels]
        if name not in names:
            response = self.tab.request.put(
                labels_url, data={"labels": [*labels, {"name": name}]}
            )
            assert response.ok, response.text()
            names.append(name)
        self.tab.wait_for_selector(f"#label-list button[title={json.dumps(name)}]")
        return str(names.index(name) + 1)

    @property
    def objects(self) -> list[dict]:
        """Objects of the page: id, name, color, finished, clicks (x, y, sign), area."""
        return self.run_script(
            "return state.session.objects.map("
            "({objectId, name, color, finished, clicks, mask}) =>"
            " ({id: objectId, name, color, finished, area: mask.area,"
            " clicks: clicks.map(({x, y, positive}) => [x, y, positive])}));"
        )

    @property
    def current_object(self) -> dict | None:
        """The current object of the page, or None."""
        script = "return state.session.currentObject?.objectId ?? null;"
        current_id = self.run_script(script)
        return next((item for item in self.objects if item["id"] == current_id), None)

    def canvas_color(self, x: float, y: float) -> list[int]:
        """Return the RGB values of the canvas over an image pixel."""
        return self.run_script(
            "const canvas = document.getElementById('canvas');"
            "const {x, y} = state.viewport.toCanvas(a[0] + 0.5, a[1] + 0.5);"
            "const pixel = [x, y].map((v) => Math.floor(v * devicePixelRatio));"
            "return [...canvas.getContext('2d').getImageData(...pixel, 1, 1).data]"
            ".slice(0, 3);",
            *(x, y),
        )

    def fetch_session(self) -> dict:
        """Return the session as the server describes it."""
        session_url = f"{self.server_url}api/sessions/{self.session_id}"
        response = self.tab.request.get(session_url)
        assert response.ok, response.text()
        return response.json()

    def fetch_masks(self) -> dict[int, Bool[np.ndarray, "h w"]]:
        """Return the server's masks by object ID."""
        return {
            item["object_id"]: decode_run_lengths(item["mask"])
            for item in self.fetch_session()["objects"]
        }

    def export(self, format_name: str) -> tuple[str, bytes]:
        """Export a file through the menu; return its name and content."""
        with self.tab.expect_download() as download:
            self.tab.click("#export-button")
            self.tab.click(f"[data-export-format={format_name}]")
        path = Path(download.value.path())
        return download.value.suggested_filename, path.read_bytes()

    def last_toast(self) -> str:
        """Return the message shown last."""
        return self.tab.locator(".toast").last.inner_text()


def delete_folder_objects(request, server_url: str) -> None:
    """Delete all objects of the images of the served folder.

    Args:
        request: Playwright's `APIRequestContext`.
        server_url: URL of the server with a trailing slash.
    """
    for image in request.get(f"{server_url}api/images").json()["images"]:
        if image["session_id"] is None:
            continue
        session_url = f"{server_url}api/sessions/{image['session_id']}"
        for item in request.get(session_url).json()["objects"]:
            assert request.delete(f"{session_url}/objects/{item['object_id']}").ok


def wait_for_objects(page: PageDriver, num_objects: int) -> None:
    """Wait until the page lists a number of objects."""
    page.tab.wait_for_function(
        "count => document.querySelectorAll('#object-list li').length === count",
        arg=num_objects,
    )


def wait_until_equal(first: PageDriver, second: PageDriver) -> None:
    """Wait until two pages show the same objects with the same masks."""
    for _ in range(50):
        if first.objects == second.objects:
            return
        first.tab.wait_for_timeout(100)
    assert first.objects == second.objects


def decode_run_lengths(run_lengths: dict) -> Bool[np.ndarray, "h w"]:
    """Decode COCO's uncompressed run lengths into a mask."""
    # Runs alternate, background first, down the columns.
    values = np.arange(len(run_lengths["counts"])) % 2 == 1
    pixels = np.repeat(values, run_lengths["counts"])
    return pixels.reshape(run_lengths["size"], order="F")


def read_coco_annotations(data: bytes) -> dict[int, dict]:
    """Return the annotations of a COCO JSON file by ID."""
    return {item["id"]: item for item in json.loads(data)["annotations"]}
