"""Open images in every way, and recover from bad files and lost connections."""

import pytest

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


def test_lost_responses_do_not_repeat_actions(page, context):
    lost_statuses = []

    def lose_response(route):
        if route.request.method == "POST" and len(lost_statuses) < 2:
            # The request reaches the server, but its response never arrives.
            lost_statuses.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    context.route("**/objects", lose_response)
    context.route("**/clicks", lose_response)
    page.click(42, 20)
    page.click(10, 50)
    # The server has created the object and applied the click.
    assert lost_statuses == [201, 200]
    (item,) = page.fetch_session()["objects"]
    assert [click["x"] for click in item["clicks"]] == [42, 10]
    page_clicks = [item["clicks"] for item in page.objects]
    assert page_clicks == [[[42, 20, True], [10, 50, True]]]
    assert all("ERR_FAILED" in error for error in page.console_errors)
    page.console_errors.clear()


def test_closed_session_is_reported_and_another_image_is_opened(page):
    page.click(42, 20)
    session_url = f"{page.server_url}api/sessions/{page.session_id}"
    assert page.tab.request.delete(session_url).ok
    page.tab.reload()
    page.tab.wait_for_selector(".toast")
    assert "session has ended" in page.last_toast()
    page.wait_for_image("scene 0.png")
    assert all("404" in error for error in page.console_errors)
    page.console_errors.clear()
