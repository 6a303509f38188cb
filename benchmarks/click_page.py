"""Measure a click on the exported page in Chromium, and in Python, in one run.

python -m mst_jax.export mst-small page --format web --zoom-max-growths 0
python benchmarks/click_page.py mst-small page examples/photos/coffee.jpg

The page and `mst_jax.Predictor` take turns with the same clicks, so that other work on
the machine slows both of them. Needs playwright and Chromium (`make chromium`).
"""

import argparse
import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import numpy as np
from unit import measure_seconds, measure_unit

import mst_jax
from mst_jax.data.formats import images
from mst_jax.interaction.inference_options import ZoomOptions

_ADD_OBJECT = """async () => {
  const {requestJson} = await import('/static/server/api_client.js');
  const objectsPath = `/sessions/${location.hash.split('=')[1]}/objects`;
  const object = await requestJson('POST', objectsPath, {});
  return `${objectsPath}/${object.object_id}/clicks`;
}"""
_CLICK = """async ([clicksPath, click]) => {
  const {requestJson} = await import('/static/server/api_client.js');
  return (await requestJson('POST', clicksPath, click)).elapsed_ms / 1000;
}"""


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Answers requests without printing them."""

    def log_message(self, format: str, *values: object) -> None:
        """Print nothing."""


def measure_clicks(
    predictor: mst_jax.Predictor, page_url: str, photo_path: Path, num_clicks: int
) -> dict[str, list[float]]:
    """Click in turn on the page and in Python.

    Args:
        predictor: Predictor with the model and the zoom of the page.
        page_url: URL of the page.
        photo_path: Photograph to click on.
        num_clicks: Number of clicks on one object.

    Returns:
        "page" and "Python" -> seconds of each click; the first one is not counted.
    """
    from playwright.sync_api import sync_playwright

    image = images.decode_image(photo_path.read_bytes())
    predictor.set_image(image)
    rng = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {"page": [], "Python": []}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page()
        tab.goto(page_url)
        # The service worker reloads the page once to make it cross-origin isolated.
        tab.wait_for_function(
            "() => crossOriginIsolated && document.querySelector('#canvas[data-tool]')"
        )
        tab.set_input_files("#image-file-input", [str(photo_path)])
        tab.wait_for_function("() => location.hash.startsWith('#session=')")
        clicks_path = tab.evaluate(_ADD_OBJECT)
        for index in range(num_clicks + 1):
            row, column = (float(rng.uniform(0, side - 1)) for side in image.shape[:2])
            click = {"x": column, "y": row, "positive": index % 2 == 0}
            seconds["page"].append(tab.evaluate(_CLICK, [clicks_path, click]))
            run_click = functools.partial(predictor.click, row, column, index % 2 == 0)
            seconds["Python"].append(measure_seconds(run_click))
        browser.close()
    return {name: times[1:] for name, times in seconds.items()}


def main() -> None:
    """Print a row for the page and one for Python."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="model of the page, to load in Python")
    parser.add_argument("page", type=Path, help="folder of `export --format web`")
    parser.add_argument("photo", type=Path, help="photograph to click on")
    parser.add_argument("--clicks", type=int, default=12)
    flags = parser.parse_args()
    zoom = ZoomOptions(**json.loads((flags.page / "manifest.json").read_text())["zoom"])
    predictor = mst_jax.Predictor(mst_jax.load(flags.model), zoom=zoom)
    handler = functools.partial(QuietHandler, directory=str(flags.page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(f"unit: {1000 * measure_unit():.0f} ms")
        page_url = f"http://127.0.0.1:{server.server_port}/"
        seconds = measure_clicks(predictor, page_url, flags.photo, flags.clicks)
        for name, times in seconds.items():
            print(f"| {name} | {np.median(times):.2f} |")
        print(f"unit: {1000 * measure_unit():.0f} ms")
        server.shutdown()


if __name__ == "__main__":
    main()
