"""Take screenshots and check the layout.

`make pictures` keeps the screenshots, taken with the bundled model.
"""

import os
from pathlib import Path

import pytest

from tests.helpers.browser import serve
from tests.helpers.page_driver import PageDriver
from tests.helpers.token_model import write_token_model

pytestmark = pytest.mark.browser

MAX_BYTES = 300_000
PHOTO_DIR = Path(__file__).parents[3] / "examples" / "photos"
DESKTOP = {"width": 1280, "height": 800}
TABLET = {"width": 834, "height": 1112}
# Mouse buttons of positive and negative clicks.
POSITIVE, NEGATIVE = "left", "right"
SCREENSHOTS = {
    "page-light": (
        dict(color_scheme="light", viewport=DESKTOP),
        "china",
        {
            "building": [(165, 160, POSITIVE), (330, 280, NEGATIVE)],
            "sky": [(420, 60, POSITIVE), (60, 300, NEGATIVE)],
        },
    ),
    "page-dark": (
        dict(color_scheme="dark", viewport=DESKTOP),
        "flower",
        {"flower": [(245, 178, POSITIVE), (280, 325, NEGATIVE), (250, 100, POSITIVE)]},
    ),
    "page-tablet": (
        dict(viewport=TABLET, has_touch=True),
        "rocket",
        {"rocket": [(258, 200, POSITIVE), (155, 230, NEGATIVE)]},
    ),
}
"""Browser options, photo, and clicks (x, y, mouse button) by label."""


@pytest.fixture(scope="module")
def photo_server_url(tmp_path_factory):
    """Start a server with the photos of the examples; return its URL."""
    models_dir = tmp_path_factory.mktemp("models")
    checkpoint = os.environ.get("CHECKPOINT") or write_token_model(
        models_dir / "screenshot model"
    )
    flags = ["--sessions", tmp_path_factory.mktemp("photo sessions")]
    with serve(checkpoint, *flags, "--folder", PHOTO_DIR) as server_url:
        yield server_url


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_layout_fits_the_window(browser, photo_server_url, name, tmp_path):
    context_options, photo, objects = SCREENSHOTS[name]
    with browser.new_context(**context_options) as context:
        # 1. Open the photo and annotate its objects.
        page = PageDriver(context, photo_server_url)
        page.wait_for_session(other_than=None)
        if page.tab.locator("[data-action=toggleImagePanel]").is_visible():
            page.press_button("toggleImagePanel")
        page.open_listed(f"{photo}.jpg")
        clicks = []
        for label, clicks in objects.items():
            page.press_key("Space")
            for x, y, button in clicks:
                page.click(x, y, button=button)
            page.press_key(page.key_of_label(label))
        # 2. Check the layout and take the screenshot, with the pointer on a click.
        x, y, _ = clicks[0]
        page.tab.mouse.move(*page.window_position(x, y))
        check_layout(page)
        screenshot = page.tab.screenshot(type="jpeg", quality=85)
        assert len(screenshot) < MAX_BYTES
        output_dir = Path(os.environ.get("PICTURES", tmp_path))
        (output_dir / f"{name}.jpg").write_bytes(screenshot)
        assert page.console_errors == page.external_requests == []


def check_layout(page):
    """Check that nothing overlaps or scrolls, and that the image has most space."""
    boxes = page.tab.evaluate(
        """() => Object.fromEntries(
          ["toolbar", "image-panel", "canvas-area", "object-panel", "status-bar"].map(
            (name) =>
              [name, document.querySelector(`.${name}`).getBoundingClientRect()]))"""
    )
    window_size = page.tab.viewport_size
    window_area = window_size["width"] * window_size["height"]
    areas = {name: box["width"] * box["height"] for name, box in boxes.items()}
    assert sum(areas.values()) == pytest.approx(window_area, rel=0.01)
    assert areas["canvas-area"] > 0.55 * sum(areas.values())
    scroll_width, client_width = page.tab.evaluate(
        "() => { const toolbar = document.querySelector('.toolbar');"
        " return [toolbar.scrollWidth, toolbar.clientWidth]; }"
    )
    assert scroll_width <= client_width, "some buttons of the toolbar are not visible"
