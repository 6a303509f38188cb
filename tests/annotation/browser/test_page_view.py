import numpy as np
import pytest

from tests.helpers.page_driver import Annotator

pytestmark = pytest.mark.browser


def test_masks_are_shown_in_every_way(annotator):
    bare = annotator.colour_at(30, 40)
    annotator.press("b")
    annotator.tab.locator("#size").fill("60")
    annotator.drag((20, 40), (50, 40))
    annotator.tab.mouse.move(5, 5)
    annotator.settle()
    filled = annotator.colour_at(30, 40)
    assert filled != bare
    annotator.tab.locator("#opacity").fill("0")
    annotator.settle()
    assert annotator.colour_at(30, 40) == bare
    annotator.tab.locator("#opacity").fill("100")
    annotator.press("o")
    assert annotator.colour_at(30, 40) == bare
    annotator.press("m")
    colour = annotator.current["colour"]
    assert annotator.colour_at(30, 40) == [
        int(colour[i : i + 2], 16) for i in (1, 3, 5)
    ]
    annotator.press("p")
    annotator.tab.wait_for_timeout(300)
    # Inside a mask of the hand the probability is 1: the yellow end of the scale.
    assert annotator.colour_at(30, 40) == [253, 231, 37]
    annotator.tab.keyboard.down("x")
    annotator.settle()
    assert annotator.colour_at(30, 40) == bare
    annotator.tab.keyboard.up("x")


def test_it_shows_what_the_model_looks_at(annotator):
    annotator.click(42, 20)
    annotator.press("t")
    annotator.tab.wait_for_selector("#legend:visible")
    tokens = annotator.ask_page("return page.extras.tokens;")
    assert tokens["fine"]
    x, y, width, height = tokens["fine"][0]
    middle = x + width / 2, y + height / 2
    with_tokens = annotator.colour_at(*middle)
    annotator.press("t")
    assert annotator.colour_at(*middle) != with_tokens


def test_wheel_and_drag_move_the_picture_and_clicks_stay_exact(annotator):
    x, y = annotator.at(42, 20)
    annotator.tab.mouse.move(x, y)
    annotator.tab.mouse.wheel(0, -600)
    annotator.settle()
    np.testing.assert_allclose(annotator.at(42, 20), (x, y), atol=6)
    annotator.drag((42, 20), (50, 25), button="middle")
    annotator.click(42, 20)
    assert annotator.current["clicks"] == [[42, 20, True]]
    annotator.press("0")
    annotator.click(43, 21)
    assert annotator.current["clicks"][-1] == [43, 21, True]


def test_a_tablet_taps_switches_and_pinches(browser, url, files):
    with browser.new_context(
        viewport={"width": 820, "height": 1100}, has_touch=True
    ) as context:
        annotator = Annotator(context, url)
        annotator.wait_for_session(other_than=None)
        annotator.open(files / "scene.png")
        annotator.tab.touchscreen.tap(*annotator.at(42, 20))
        annotator.settle()
        annotator.tab.locator("[data-sign=negative]").tap()
        annotator.tab.touchscreen.tap(*annotator.at(10, 50))
        annotator.settle()
        assert annotator.current["clicks"] == [[42, 20, True], [10, 50, False]]
        scale = "return page.camera.scale;"
        before = annotator.ask_page(scale)
        pinch(context, annotator)
        assert annotator.ask_page(scale) > 1.5 * before
        assert len(annotator.current["clicks"]) == 2
        assert annotator.faults == annotator.strangers == []


def pinch(context, annotator):
    """Two fingers that part around the middle of the canvas."""
    x, y = annotator.at(42, 30)
    fingers = context.new_cdp_session(annotator.tab)

    def touch(kind, *offsets):
        points = [{"x": x + dx, "y": y, "id": i} for i, dx in enumerate(offsets)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -40)
    touch("touchStart", -40, 40)
    for apart in range(50, 110, 10):
        touch("touchMove", -apart, apart)
    touch("touchEnd")
    annotator.settle()


def test_everything_has_a_name_and_the_keys_are_told(annotator):
    nameless = annotator.tab.evaluate(
        """() => [...document.querySelectorAll("button, input:not([hidden])")]
          .filter((one) => !(one.getAttribute("aria-label") || one.title ||
            one.textContent).trim()).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    annotator.press("?")
    text = annotator.tab.locator("#help").inner_text()
    assert "Space" in text and "finish the object" in text
    annotator.press("Escape")
    assert not annotator.tab.locator("#help").is_visible()


def test_space_belongs_to_the_picture_after_a_click_on_a_button(annotator):
    annotator.click(42, 20)
    annotator.push("zoomIn")
    annotator.press("Space")
    assert annotator.current is None


def test_dark_and_light_follow_the_system_and_the_switch(annotator):
    def ground():
        return annotator.tab.evaluate("getComputedStyle(document.body).backgroundColor")

    annotator.tab.emulate_media(color_scheme="light")
    light = ground()
    annotator.tab.emulate_media(color_scheme="dark")
    assert ground() != light
    annotator.push("theme")
    assert ground() == light
    annotator.tab.reload()
    annotator.wait_for_session(other_than=None)
    assert ground() == light
