"""The page without a mouse, with other keyboard layouts, and on narrow screens."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.helpers.page_driver import PageDriver

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 800}
PRESS_KEY = """([key, code, modifiers]) => {
  const options = {key, code, bubbles: true, cancelable: true, ...modifiers};
  document.activeElement.dispatchEvent(new KeyboardEvent("keydown", options));
  document.activeElement.dispatchEvent(new KeyboardEvent("keyup", options));
}"""


def test_object_is_clicked_and_corrected_by_keyboard(page):
    page.tab.locator("#canvas").focus()
    # The first press shows the cross in the middle, at (42, 30).
    page.press_key("ArrowUp")
    for _ in range(10):
        page.press_key("Shift+ArrowUp")
    page.press_key("Enter")
    assert page.current_object["clicks"] == [[42, 20, True]]
    for _ in range(3):
        page.press_key("Shift+ArrowLeft")
    page.press_key("Shift+Enter")
    assert page.current_object["clicks"] == [[42, 20, True], [39, 20, False]]


@pytest.mark.parametrize(
    ("key", "code", "modifiers"),
    [
        ("я", "KeyZ", {"ctrlKey": True}),  # Russian
        ("z", "KeyY", {"ctrlKey": True}),  # German: Z is where Y is on a US keyboard
        ("ζ", "KeyZ", {}),  # Greek
        ("w", "KeyZ", {"ctrlKey": False, "skip": True}),  # French: this is the W key
    ],
)
def test_undo_works_on_other_keyboard_layouts(page, key, code, modifiers):
    page.click(42, 20)
    page.click(10, 50)
    page.tab.evaluate(PRESS_KEY, [key, code, modifiers])
    page.wait_until_saved()
    num_clicks = 2 if modifiers.pop("skip", False) else 1
    assert len(page.current_object["clicks"]) == num_clicks


def test_digits_of_a_french_keyboard_are_labels(page):
    page.key_of_label("disk")
    label_key = page.key_of_label("corner")
    page.click(42, 20)
    # The digit row of AZERTY gives "é" without Shift.
    page.tab.evaluate(PRESS_KEY, ["é", f"Digit{label_key}", {}])
    page.wait_until_saved()
    assert page.current_object["name"] == "corner"


def test_phone_changes_images_and_shows_their_list(browser, server_url):
    with browser.new_context(viewport=PHONE, has_touch=True) as context:
        page = PageDriver(context, server_url)
        page.wait_for_session(other_than=None)
        page.wait_for_image("scene 0.png")
        page.tab.locator("[data-action=openNextImage]").first.tap()
        page.wait_for_image("scene 1.png")
        page.tab.locator("[data-action=toggleImagePanel]").tap()
        page.tab.locator("#image-list button[title='scene 0.png']").tap()
        page.wait_for_image("scene 0.png")
        assert not page.tab.locator("#image-list").is_visible()
        scroll_width = page.tab.evaluate("document.documentElement.scrollWidth")
        assert scroll_width <= PHONE["width"]


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, color_scheme):
    page.tab.emulate_media(color_scheme=color_scheme)
    page.click(42, 20)
    page.press_key("Space")
    page.click(70, 50)
    states = {
        "page": lambda: None,
        "help": lambda: page.press_key("?"),
        "labels": lambda: page.tab.locator("#edit-labels").click(),
        "export": lambda: page.tab.locator("#export-button").click(),
        "display": lambda: page.tab.locator("#display-button").click(),
    }
    for name, open_state in states.items():
        open_state()
        violations = Axe().run(page.tab).response["violations"]
        serious = [
            (item["id"], [node["html"] for node in item["nodes"]])
            for item in violations
            if item["impact"] in ("serious", "critical")
        ]
        assert serious == [], name
        page.tab.keyboard.press("Escape")


def test_brightness_changes_the_view_but_not_the_masks(page):
    x, y = 70, 10
    page.press_key("b")
    page.tab.locator("#brush-size").fill("40")
    page.drag((20, 40), (40, 40))
    page.tab.mouse.move(5, 5)
    mask_before = page.fetch_masks()[1].sum()
    color_before = page.canvas_color(x, y)
    page.tab.locator("#display-button").click()
    page.tab.locator("#brightness").fill("60")
    page.wait_until_saved()
    assert sum(page.canvas_color(x, y)) > sum(color_before)
    assert page.fetch_masks()[1].sum() == mask_before
    page.press_button("resetDisplay")
    assert page.canvas_color(x, y) == color_before
