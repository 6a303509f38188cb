"""What the page draws, and how it is zoomed, panned and operated without a mouse."""

import numpy as np
import pytest

from tests.helpers.page_driver import PageDriver

pytestmark = pytest.mark.browser


def test_masks_are_drawn_in_every_view(page):
    image_color = page.canvas_color(30, 40)
    page.press_key("b")
    page.tab.locator("#brush-size").fill("60")
    page.drag((20, 40), (50, 40))
    page.tab.mouse.move(5, 5)
    page.wait_until_saved()
    # 1. Filled masks with three opacities.
    assert page.canvas_color(30, 40) != image_color
    page.tab.locator("#mask-opacity").fill("0")
    page.wait_until_saved()
    assert page.canvas_color(30, 40) == image_color
    page.tab.locator("#mask-opacity").fill("100")
    page.press_key("o")
    assert page.canvas_color(30, 40) == image_color
    page.press_key("m")
    hex_color = page.current_object["color"]
    object_color = [int(hex_color[start : start + 2], 16) for start in (1, 3, 5)]
    assert page.canvas_color(30, 40) == object_color
    # 2. The probability inside a painted mask is 1: yellow, the end of the colormap.
    page.press_key("p")
    page.tab.wait_for_timeout(300)
    assert page.canvas_color(30, 40) == [253, 231, 37]
    # 3. X hides everything while it is held.
    page.tab.keyboard.down("x")
    page.wait_until_saved()
    assert page.canvas_color(30, 40) == image_color
    page.tab.keyboard.up("x")


def test_selected_tokens_are_drawn(page):
    page.click(42, 20)
    page.press_key("t")
    page.tab.wait_for_selector("#token-legend:visible")
    token_boxes = page.run_script("return state.overlays.tokenBoxes;")
    assert token_boxes["fine"]
    x, y, width, height = token_boxes["fine"][0]
    box_center = x + width / 2, y + height / 2
    token_color = page.canvas_color(*box_center)
    page.press_key("t")
    assert page.canvas_color(*box_center) != token_color


def test_clicks_stay_exact_after_zoom_and_pan(page):
    x, y = page.window_position(42, 20)
    page.tab.mouse.move(x, y)
    page.tab.mouse.wheel(0, -600)
    page.wait_until_saved()
    # The wheel zooms around the pointer, which stays over the same pixel.
    np.testing.assert_allclose(page.window_position(42, 20), (x, y), atol=6)
    page.drag((42, 20), (50, 25), button="middle")
    page.click(42, 20)
    assert page.current_object["clicks"] == [[42, 20, True]]
    page.press_key("0")
    page.click(43, 21)
    assert page.current_object["clicks"][-1] == [43, 21, True]


def test_touch_screen_taps_click_and_two_fingers_zoom(browser, server_url, image_dir):
    with browser.new_context(
        viewport={"width": 820, "height": 1100}, has_touch=True
    ) as context:
        page = PageDriver(context, server_url)
        page.wait_for_session(other_than=None)
        page.open_images(image_dir / "scene.png")
        page.tab.touchscreen.tap(*page.window_position(42, 20))
        page.wait_until_saved()
        page.tab.locator("[data-sign=negative]").tap()
        page.tab.touchscreen.tap(*page.window_position(10, 50))
        page.wait_until_saved()
        assert page.current_object["clicks"] == [[42, 20, True], [10, 50, False]]
        # The fingers of a zoom do not click.
        scale_script = "return state.viewport.scale;"
        scale_before = page.run_script(scale_script)
        spread_two_fingers(context, page)
        assert page.run_script(scale_script) > 1.5 * scale_before
        assert len(page.current_object["clicks"]) == 2
        assert page.console_errors == page.external_requests == []


def spread_two_fingers(context, page):
    """Move two fingers apart from the center of the image."""
    x, y = page.window_position(42, 30)
    devtools = context.new_cdp_session(page.tab)

    def send_touch(event_type, *x_offsets):
        touch_points = [
            {"x": x + x_offset, "y": y, "id": finger}
            for finger, x_offset in enumerate(x_offsets)
        ]
        event = {"type": event_type, "touchPoints": touch_points}
        devtools.send("Input.dispatchTouchEvent", event)

    send_touch("touchStart", -40)
    send_touch("touchStart", -40, 40)
    for half_distance in range(50, 110, 10):
        send_touch("touchMove", -half_distance, half_distance)
    send_touch("touchEnd")
    page.wait_until_saved()


def test_all_controls_have_labels_and_help_lists_the_shortcuts(page):
    unlabeled = page.tab.evaluate(
        """() => [...document.querySelectorAll("button, input:not([hidden])")]
          .filter((element) => !(element.getAttribute("aria-label") || element.title ||
            element.textContent).trim()).map((element) => element.outerHTML)"""
    )
    assert unlabeled == []
    page.press_key("?")
    help_text = page.tab.locator("#help-dialog").inner_text()
    assert "Space" in help_text and "finish the object" in help_text
    page.press_key("Escape")
    assert not page.tab.locator("#help-dialog").is_visible()


def test_space_finishes_the_object_after_a_button_was_clicked(page):
    page.click(42, 20)
    page.press_button("zoomIn")
    page.press_key("Space")
    assert page.current_object is None


def test_theme_follows_the_system_until_it_is_switched(page):
    def background_color():
        return page.tab.evaluate("getComputedStyle(document.body).backgroundColor")

    page.tab.emulate_media(color_scheme="light")
    light_color = background_color()
    page.tab.emulate_media(color_scheme="dark")
    assert background_color() != light_color
    page.press_button("switchTheme")
    assert background_color() == light_color
    page.tab.reload()
    page.wait_for_session(other_than=None)
    assert background_color() == light_color
