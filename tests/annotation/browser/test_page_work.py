"""Nothing that a hand does on the page is lost: rows, deletions, undo, keys, status."""

import numpy as np
import pytest

pytestmark = pytest.mark.browser

COUNT_MUTATIONS = """() => {
  window.numMutations = 0;
  const observer = new MutationObserver((mutations) => {
    window.numMutations += mutations.length;
  });
  const options = {childList: true, subtree: true, attributes: true, characterData: true};
  for (const id of ["object-list", "click-list", "image-list"]) {
    observer.observe(document.getElementById(id), options);
  }
}"""


def test_moving_the_pointer_leaves_the_lists_alone(page):
    page.click(42, 20)
    page.click(10, 50)
    page.wait_for_status("Not finished")
    page.tab.evaluate(COUNT_MUTATIONS)
    for x in range(10, 60, 2):
        page.tab.mouse.move(*page.window_position(x, 30))
        page.tab.wait_for_timeout(20)
    assert page.tab.evaluate("window.numMutations") == 0


@pytest.mark.parametrize("hold_ms", [20, 80, 200])
def test_slow_press_on_the_x_of_a_click_deletes_it(page, hold_ms):
    for x, y in ((42, 20), (10, 50), (70, 50)):
        page.click(x, y)
    x, y = center_of(page.tab.get_by_label("Delete click 2"))
    # The hand moves a little while it presses.
    page.tab.mouse.move(x - 2, y)
    page.tab.mouse.down()
    page.tab.mouse.move(x + 1, y, steps=3)
    page.tab.wait_for_timeout(hold_ms)
    page.tab.mouse.up()
    page.wait_until_saved()
    assert page.current_object["clicks"] == [[42, 20, True], [70, 50, True]]


def test_double_click_deletes_one_click_and_one_object(page):
    for x, y in ((42, 20), (10, 50), (70, 50)):
        page.click(x, y)
    page.tab.mouse.dblclick(
        *center_of(page.tab.get_by_label("Delete click 1")), delay=40
    )
    page.wait_until_saved()
    assert page.current_object["clicks"] == [[10, 50, True], [70, 50, True]]
    page.press_key("Space")
    page.click(60, 30)
    page.press_key("Space")
    first_row = page.tab.locator("#object-list li").first
    first_row.hover()
    button = first_row.get_by_role("button", name="Delete")
    page.tab.mouse.dblclick(*center_of(button), delay=40)
    page.wait_until_saved()
    assert [item["id"] for item in page.objects] == [2]


def test_rows_and_focus_survive_clicks_and_changes_of_others(page):
    page.click(42, 20)
    row = page.tab.locator("#object-list li").first.element_handle()
    name_input = page.tab.get_by_label("Object name").first
    name_input.fill("")
    name_input.press_sequentially("dis", delay=page.press_ms)
    # Another user changes the image while the name is typed.
    objects_url = f"{page.server_url}api/sessions/{page.session_id}/objects"
    assert page.tab.request.post(objects_url, data={"name": "other"}).ok
    page.tab.wait_for_selector("#object-list li:nth-child(2)")
    name_input.press_sequentially("k", delay=page.press_ms)
    name_input.press("Enter")
    page.wait_until_saved()
    assert [item["name"] for item in page.objects] == ["disk", "other"]
    assert page.tab.evaluate("row => row.isConnected", row)


def test_deleting_clicks_by_keyboard_keeps_the_focus_in_the_list(page):
    for x, y in ((42, 20), (10, 50), (70, 50)):
        page.click(x, y)
    page.tab.get_by_label("Delete click 1").focus()
    for num_left in (2, 1):
        page.press_key("Enter")
        assert len(page.current_object["clicks"]) == num_left
        focused_label = "document.activeElement.getAttribute('aria-label')"
        assert page.tab.evaluate(focused_label) == "Delete click 1"


def test_deleted_object_is_restored_by_undo_and_deleted_by_redo(page):
    # 1. Three objects; the second has a name, two clicks and a history.
    page.click(42, 20)
    page.press_key("Space")
    page.click(70, 50)
    page.click(60, 30, button="right")
    name_input = page.tab.get_by_label("Object name").nth(1)
    name_input.click()
    name_input.fill("corner")
    name_input.press("Enter")
    page.press_key("Space")
    page.click(10, 50)
    page.press_key("Space")
    objects_before, masks_before = page.objects, page.fetch_masks()

    # 2. Delete the second one with the x of its row, and undo it.
    row = page.tab.locator("#object-list li").nth(1)
    row.hover()
    row.get_by_role("button", name="Delete").click(delay=page.press_ms)
    page.wait_until_saved()
    assert [item["id"] for item in page.objects] == [1, 3]
    assert page.fetch_masks().keys() == {1, 3}
    page.press_key("Control+z")
    assert page.objects == objects_before
    np.testing.assert_array_equal(page.fetch_masks()[2], masks_before[2])
    assert page.current_object["name"] == "corner"

    # 3. Redo deletes it again; Backspace undoes as well, then its clicks.
    page.press_key("Control+Shift+Z")
    assert [item["id"] for item in page.objects] == [1, 3]
    page.press_key("Backspace")
    assert page.current_object["id"] == 2
    page.press_key("Backspace")
    assert page.current_object["clicks"] == [[70, 50, True]]
    assert page.fetch_masks().keys() == {1, 2, 3}


def test_undo_reverts_clicks_before_an_earlier_deletion(page):
    page.click(42, 20)
    page.press_key("Delete")
    assert page.objects == []
    page.click(70, 50)
    page.press_key("z")
    assert page.current_object["clicks"] == []
    page.press_key("z")
    assert page.current_object["clicks"] == [[42, 20, True]]


def test_status_names_objects_that_are_not_finished(page):
    page.open_listed("scene 2.png")
    page.click(42, 20)
    status = f"Not finished: {page.current_object['name']}"
    page.wait_for_status(status)
    page.press_key("Space")
    page.wait_for_status("Saved")
    # A reopened object is not finished until it is left.
    page.press_key("k")
    page.click(10, 50)
    page.wait_for_status(status)
    page.press_key("a")
    page.wait_for_image("scene 1.png")
    page.press_key("d")
    page.wait_for_image("scene 2.png")
    page.wait_for_status("Saved")
    assert [item["finished"] for item in page.objects] == [True]


def test_one_key_each_for_click_label_finish_undo_and_next_image(page):
    label_key = page.key_of_label("corner")
    page.open_listed("scene 1.png")
    page.click(42, 20)
    page.press_key(label_key)
    page.press_key("Space")
    page.click(70, 50)
    page.press_key("z")
    assert page.current_object["clicks"] == []
    # The label stays for the next objects; the empty object disappears.
    page.press_key("d")
    page.wait_for_image("scene 2.png")
    page.press_key("a")
    page.wait_for_image("scene 1.png")
    summaries = [(item["name"], item["finished"]) for item in page.objects]
    assert summaries == [("corner", True)]
    page.click(10, 50)
    assert page.current_object["name"] == "corner"
    page.press_key("Delete")


def test_next_image_opens_while_the_server_is_still_busy_with_the_last_one(page):
    page.open_listed("scene 0.png")
    # The image after the next one is not opened ahead of time; this one is.
    page.tab.wait_for_timeout(800)
    page.tab.route("**/clicks", lambda route: None)  # the response never arrives
    page.tab.mouse.click(*page.window_position(42, 20), delay=page.press_ms)
    page.tab.keyboard.press("d", delay=page.press_ms)
    page.tab.wait_for_function("() => document.title === 'scene 1.png'", timeout=1000)
    page.tab.wait_for_selector("#save-status:has-text('Saving')")
    page.tab.unroute("**/clicks")


def center_of(locator):
    """Return the center of an element in CSS pixels of the window."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
