"""Open images in every way, and recover from bad files and lost connections."""

import re
import urllib.parse

import numpy as np
import pytest

from mst_jax.data.formats import images

pytestmark = pytest.mark.browser


def test_images_are_opened_by_drop_and_by_paste(page, image_dir):
    for event_type in ("drop", "paste"):
        previous_session = page.session_id
        page.tab.evaluate(
            """async ([bytes, eventType]) => {
              const data = new DataTransfer();
              const file = new File([new Uint8Array(bytes)], `${eventType}.png`,
                {type: "image/png"});
              data.items.add(file);
              const init = {bubbles: true, dataTransfer: data, clipboardData: data};
              document.body.dispatchEvent(eventType === "drop"
                ? new DragEvent("drop", init) : new ClipboardEvent("paste", init));
            }""",
            [list((image_dir / "scene.png").read_bytes()), event_type],
        )
        page.wait_for_session(other_than=previous_session)
        image_name = page.tab.locator("#image-name").inner_text()
        assert image_name.startswith(f"{event_type}.png")


def test_bad_file_shows_one_message_and_keeps_the_session(page, tmp_path):
    page.click(42, 20)
    session_id = page.session_id
    (tmp_path / "no image.png").write_text("hello")
    page.tab.set_input_files("#image-file-input", tmp_path / "no image.png")
    page.tab.wait_for_selector(".toast")
    assert page.last_toast().count(".") <= 2
    assert page.session_id == session_id
    # The old session still works, and the message disappears by itself.
    page.click(10, 50)
    assert len(page.current_object["clicks"]) == 2
    page.tab.wait_for_selector(".toast", state="detached", timeout=9000)
    # Chromium itself logs every rejected request.
    assert all("400" in error or "415" in error for error in page.console_errors)
    page.console_errors.clear()


def test_clicks_made_offline_arrive_in_order(page, context):
    page.click(42, 20)
    context.set_offline(True)
    for x in (10, 20, 30):
        page.tab.mouse.click(*page.window_position(x, 50))
    # The status is drawn with the next frame, which may come after the last click.
    page.tab.wait_for_selector("#save-status.offline:has-text('3 not saved yet')")
    context.set_offline(False)
    page.tab.wait_for_selector("#save-status:not(.offline)")
    page.wait_until_saved()
    clicks = page.fetch_session()["objects"][0]["clicks"]
    assert [click["x"] for click in clicks] == [42, 10, 20, 30]
    assert all("INTERNET_DISCONNECTED" in error for error in page.console_errors)
    page.console_errors.clear()


def test_full_disk_is_reported_and_nothing_is_lost(page):
    page.click(42, 20)
    message = "the disk of the server is full"
    page.tab.route(
        "**/clicks", lambda route: route.fulfill(status=507, json={"error": message})
    )
    for x in (10, 20):
        page.tab.mouse.click(*page.window_position(x, 50), delay=page.press_ms)
    page.wait_for_status(message)
    page.wait_for_status("2 not saved yet")
    page.tab.unroute("**/clicks")
    page.tab.wait_for_selector("#save-status:not(.offline)")
    page.wait_until_saved()
    clicks = page.fetch_session()["objects"][0]["clicks"]
    assert [click["x"] for click in clicks] == [42, 10, 20]
    assert all("507" in error for error in page.console_errors)
    page.console_errors.clear()


def test_lost_responses_do_not_repeat_actions(page, context, tmp_path):
    lost_statuses = {}

    def lose_response(route):
        resource = urllib.parse.urlsplit(route.request.url).path.rpartition("/")[2]
        if resource not in lost_statuses:
            # The request reaches the server, but its response never arrives.
            lost_statuses[resource] = route.fetch().status
            route.abort()
        else:
            route.continue_()

    for resource in ("objects", "clicks", "undo", "label-map"):
        # Some requests have parameters after a question mark.
        context.route(re.compile(rf"/{resource}(\?|$)"), lose_response)
    page.click(42, 20)
    page.click(10, 50)
    page.click(70, 50)
    page.press_key("z")
    # The server has applied what the page has sent a second time.
    assert lost_statuses == {"objects": 201, "clicks": 200, "undo": 200}
    (item,) = page.fetch_session()["objects"]
    assert [click["x"] for click in item["clicks"]] == [42, 10]
    page_clicks = [item["clicks"] for item in page.objects]
    assert page_clicks == [[[42, 20, True], [10, 50, True]]]
    # The objects of a label map are not added twice.
    label_map = np.zeros((60, 84), np.uint8)
    label_map[5:20, 5:20] = 3
    (tmp_path / "labels.png").write_bytes(images.encode_png(label_map))
    page.tab.set_input_files("#mask-file-input", tmp_path / "labels.png")
    page.tab.wait_for_selector("#object-list li:nth-child(2)")
    page.wait_until_saved()
    assert lost_statuses["label-map"] == 201
    assert len(page.fetch_masks()) == len(page.objects) == 2
    assert all("ERR_FAILED" in error for error in page.console_errors)
    page.console_errors.clear()


def test_closed_session_is_reported_and_another_image_is_opened(page):
    page.click(42, 20)
    page_url, session_id = page.tab.url, page.session_id
    # A page that is open would upload the image again.
    page.tab.goto("about:blank")
    session_url = f"{page.server_url}api/sessions/{session_id}"
    assert page.tab.request.delete(session_url).ok
    page.tab.goto(page_url)
    page.tab.wait_for_selector(".toast")
    assert "session has ended" in page.last_toast()
    page.wait_for_image("scene 0.png")
    assert all("404" in error for error in page.console_errors)
    page.console_errors.clear()


def test_busy_server_delays_clicks_and_uploads_but_loses_none(page, image_dir):
    message = "too many concurrent requests; try again in a moment"
    page.tab.route(
        "**/clicks", lambda route: route.fulfill(status=429, json={"error": message})
    )
    for position in ((42, 20), (10, 50)):
        page.tab.mouse.click(*page.window_position(*position), delay=page.press_ms)
    page.tab.wait_for_selector(f"#save-status:has-text('{message}')")
    page.tab.unroute("**/clicks")
    page.wait_until_saved()
    assert page.current_object["clicks"] == [[42, 20, True], [10, 50, True]]
    assert [len(item["clicks"]) for item in page.fetch_session()["objects"]] == [2]
    # An upload that is refused leaves the open image as it is, and can be repeated.
    session_id = page.session_id
    page.tab.route(
        "**/sessions?*",
        lambda route: route.fulfill(status=429, json={"error": message}),
    )
    page.tab.set_input_files("#image-file-input", image_dir / "scene.png")
    page.tab.wait_for_selector(f".toast:has-text('{message}')")
    assert page.session_id == session_id and len(page.objects) == 1
    page.tab.unroute("**/sessions?*")
    page.open_images(image_dir / "scene.png")
    assert page.session_id != session_id and page.objects == []
    assert all("429" in error for error in page.console_errors)
    page.console_errors.clear()
