"""Screenshots; `make pictures` keeps them, with a model that is worth looking at."""

import os
from pathlib import Path

import pytest

from tests.annotation.conftest import write_model
from tests.helpers.browser import serve
from tests.helpers.page_driver import Annotator

pytestmark = pytest.mark.browser

MOST_BYTES = 300_000
PHOTOGRAPHS = Path(__file__).parents[2] / "examples" / "photos"
DESK = {"width": 1280, "height": 800}
ON, OFF = "left", "right"
SCENES = {
    "page-light": (
        dict(color_scheme="light", viewport=DESK),
        "china",
        [[(165, 160, ON), (330, 280, OFF)], [(420, 60, ON), (60, 300, OFF)]],
    ),
    "page-dark": (
        dict(color_scheme="dark", viewport=DESK),
        "flower",
        [[(245, 178, ON), (280, 325, OFF), (250, 100, ON)]],
    ),
    "page-tablet": (
        dict(viewport={"width": 834, "height": 1112}, has_touch=True),
        "rocket",
        [[(258, 200, ON), (155, 230, OFF)]],
    ),
}
"""Browser, photograph, and objects: clicks (x, y, on the object or beside it)."""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    given = os.environ.get("CHECKPOINT")
    model = given or write_model(tmp_path_factory.mktemp("models") / "pictures model")
    kept = tmp_path_factory.mktemp("photograph sessions")
    with serve(model, "--sessions", kept, "--folder", PHOTOGRAPHS) as url:
        yield url


@pytest.mark.parametrize("name", SCENES)
def test_the_page_looks_as_it_should(browser, url, name, tmp_path):
    window, photograph, objects = SCENES[name]
    with browser.new_context(**window) as context:
        annotator = Annotator(context, url)
        annotator.wait_for_session(other_than=None)
        annotator.tab.locator(f"[title='{photograph}.jpg']").click()
        annotator.tab.wait_for_function(
            "name => document.title === name", arg=f"{photograph}.jpg"
        )
        annotator.settle()
        for clicks in objects:
            if annotator.shown:
                annotator.press("Space")
            for x, y, button in clicks:
                annotator.click(x, y, button=button)
        x, y, _ = objects[-1][0]
        annotator.tab.mouse.move(*annotator.at(x, y))
        check_layout(annotator)
        shot = annotator.tab.screenshot(type="jpeg", quality=85)
        assert len(shot) < MOST_BYTES
        folder = Path(os.environ.get("PICTURES", tmp_path))
        (folder / f"{name}.jpg").write_bytes(shot)
        assert annotator.faults == annotator.strangers == []


def check_layout(annotator):
    """Nothing overlaps, nothing needs scrolling, the picture has most of the room."""
    boxes = annotator.tab.evaluate(
        """() => Object.fromEntries(["bar", "rail", "stage", "panel", "status"].map(
          (name) => [name, document.querySelector(`.${name}`).getBoundingClientRect()]))"""
    )
    size = annotator.tab.viewport_size
    areas = {name: box["width"] * box["height"] for name, box in boxes.items()}
    assert sum(areas.values()) == pytest.approx(
        size["width"] * size["height"], rel=0.01
    )
    assert areas["stage"] > 0.55 * sum(areas.values())
    bar = annotator.tab.evaluate(
        "() => { const bar = document.querySelector('.bar');"
        " return [bar.scrollWidth, bar.clientWidth]; }"
    )
    assert bar[0] <= bar[1], "buttons of the bar are out of sight"
