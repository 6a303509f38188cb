import pytest

pytestmark = pytest.mark.browser


def test_pictures_come_by_drop_and_by_paste(annotator, files):
    for kind in ("drop", "paste"):
        before = annotator.session
        annotator.tab.evaluate(
            """async ([bytes, kind]) => {
              const data = new DataTransfer();
              const file = new File([new Uint8Array(bytes)], `${kind}.png`,
                {type: "image/png"});
              data.items.add(file);
              const how = {bubbles: true, dataTransfer: data, clipboardData: data};
              document.body.dispatchEvent(kind === "drop"
                ? new DragEvent("drop", how) : new ClipboardEvent("paste", how));
            }""",
            [list((files / "scene.png").read_bytes()), kind],
        )
        annotator.wait_for_session(other_than=before)
        assert annotator.tab.locator("#name").inner_text().startswith(f"{kind}.png")


def test_a_bad_file_is_one_sentence_and_the_work_goes_on(annotator, tmp_path):
    annotator.click(42, 20)
    before = annotator.session
    (tmp_path / "no picture.png").write_text("hello")
    annotator.tab.set_input_files("#file", tmp_path / "no picture.png")
    annotator.tab.wait_for_selector(".notice")
    assert annotator.notice().count(".") <= 2
    assert annotator.session == before
    annotator.click(10, 50)
    assert len(annotator.current["clicks"]) == 2
    annotator.tab.wait_for_selector(".notice", state="detached", timeout=9000)
    # Chromium itself notes each refused request on the console.
    assert all("400" in fault or "415" in fault for fault in annotator.faults)
    annotator.faults.clear()


def test_clicks_made_while_the_server_is_away_arrive_in_order(annotator, context):
    annotator.click(42, 20)
    context.set_offline(True)
    for x in (10, 20, 30):
        annotator.tab.mouse.click(*annotator.at(x, 50))
    # The line is drawn with the next frame, which may come after the last click.
    annotator.tab.wait_for_selector("#saved.silent:has-text('3 kept here')")
    context.set_offline(False)
    annotator.tab.wait_for_selector("#saved:not(.silent)")
    annotator.settle()
    assert [click["x"] for click in annotator.state()["objects"][0]["clicks"]] == [
        *(42, 10, 20, 30)
    ]
    assert all("INTERNET_DISCONNECTED" in fault for fault in annotator.faults)
    annotator.faults.clear()


def test_an_answer_that_was_lost_does_not_repeat_the_click(annotator, context):
    lost = []

    def lose(route):
        if route.request.method == "POST" and len(lost) < 2:
            lost.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    context.route("**/objects", lose)
    context.route("**/clicks", lose)
    annotator.click(42, 20)
    annotator.click(10, 50)
    assert lost == [201, 200]  # the object was begun, the click was made
    (one,) = annotator.state()["objects"]
    assert [click["x"] for click in one["clicks"]] == [42, 10]
    assert [one["clicks"] for one in annotator.shown] == [
        [[42, 20, True], [10, 50, True]]
    ]
    assert all("ERR_FAILED" in fault for fault in annotator.faults)
    annotator.faults.clear()


def test_a_session_that_is_over_is_told_and_a_picture_of_the_folder_opens_anew(
    annotator,
):
    def end_session():
        address = f"{annotator.url}api/sessions/{annotator.session}"
        assert annotator.tab.request.delete(address).ok

    annotator.click(42, 20)
    end_session()
    annotator.tab.reload()
    annotator.tab.wait_for_selector(".notice")
    assert "session is over" in annotator.notice()
    tile = annotator.tab.locator("#pictures .tile").nth(1)
    before = annotator.session
    tile.click()
    annotator.wait_for_session(other_than=before)
    end_session()
    annotator.tab.goto(annotator.url)
    annotator.wait_for_session(other_than=None)
    assert annotator.tab.locator("#name").inner_text().startswith("scene 1.png")
    assert annotator.shown == []
    assert all("404" in fault for fault in annotator.faults)
    annotator.faults.clear()
