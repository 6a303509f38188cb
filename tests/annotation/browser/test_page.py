import io
import zipfile

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle

from mst_jax.data.formats import images
from tests.helpers.page_driver import read_coco

pytestmark = pytest.mark.browser

H, W = 60, 84


def test_two_objects_survive_a_reload_and_are_exported(annotator):
    annotator.click(42, 20)
    annotator.click(10, 50, button="right")
    annotator.press("Space")
    annotator.click(70, 50)
    annotator.click(60, 30, keys=["Shift"])
    before = annotator.shown
    assert [one["clicks"] for one in before] == [
        [[42, 20, True], [10, 50, False]],
        [[70, 50, True], [60, 30, False]],
    ]
    assert [one["finished"] for one in before] == [True, False]
    assert all(one["area"] for one in before)
    assert before[0]["colour"] != before[1]["colour"]

    annotator.tab.reload()
    annotator.wait_for_session(other_than=None)
    assert annotator.shown == before
    assert annotator.current == before[1]

    masks = annotator.masks()
    assert {n: mask.sum() for n, mask in masks.items()} == {
        one["number"]: one["area"] for one in before
    }
    for form in ("coco", "coco_rle"):
        name, data = annotator.export(form)
        assert name.startswith("scene") and name.endswith(".json")
        annotations = read_coco(data)
        assert annotations.keys() == masks.keys()
        for number, mask in masks.items():
            found = annotations[number]["segmentation"]
            if form == "coco":
                found = rle.merge(rle.frPyObjects(found, H, W))
            np.testing.assert_array_equal(rle.decode(found).astype(bool), mask)


def test_other_exports_hold_the_same_masks(annotator):
    annotator.click(42, 20)
    annotator.press("Space")
    annotator.click(70, 50)
    one, two = annotator.masks().values()
    _, png = annotator.export("labels")
    labels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(labels, np.where(two, 2, one.astype(int)))
    _, arrays = annotator.export("numpy")
    np.testing.assert_array_equal(np.load(io.BytesIO(arrays))["2"], two)
    with annotator.tab.expect_download() as download:
        annotator.press("Control+s")
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert {"picture.png", "labels.png", "masks/2.png"} <= set(archive.namelist())


def test_history_is_walked_back_and_forth(annotator):
    annotator.click(42, 20)
    first = annotator.masks()[1]
    annotator.click(10, 50, button="right")
    second = annotator.masks()[1]
    annotator.press("Control+z")
    np.testing.assert_array_equal(annotator.masks()[1], first)
    assert len(annotator.current["clicks"]) == 1
    annotator.press("Control+Shift+Z")
    np.testing.assert_array_equal(annotator.masks()[1], second)
    annotator.push("reset")
    assert not annotator.masks()[1].any()
    assert annotator.current["area"] == 0
    annotator.push("undo")
    np.testing.assert_array_equal(annotator.masks()[1], second)
    # Between two objects undo goes back to the one before.
    annotator.press("Space")
    assert annotator.current is None
    annotator.press("Control+z")
    assert annotator.current["number"] == 1


def test_a_single_click_is_deleted_on_its_dot_and_in_the_list(annotator):
    annotator.click(42, 20)
    alone = annotator.masks()[1]
    annotator.click(10, 50)
    annotator.click(70, 50)
    annotator.click(10, 50, keys=["Alt"])
    assert annotator.current["clicks"] == [[42, 20, True], [70, 50, True]]
    annotator.tab.get_by_label("Delete click 2").click()
    annotator.settle()
    assert annotator.current["clicks"] == [[42, 20, True]]
    np.testing.assert_array_equal(annotator.masks()[1], alone)


def test_a_finished_object_is_continued_renamed_coloured_deleted(annotator):
    annotator.click(42, 20)
    annotator.press("Space")
    annotator.click(70, 50)
    annotator.press("Space")
    name = annotator.tab.get_by_label("Name of the object").first
    name.fill("disk")
    name.press("Enter")
    annotator.tab.locator("input.colour").first.evaluate(
        "input => { input.value = '#123456'; input.dispatchEvent(new Event('change')); }"
    )
    annotator.settle()
    annotator.click(12, 8)  # the first object is the current one again
    first, second = annotator.state()["objects"]
    assert (first["name"], first["colour"], first["finished"]) == (
        "disk",
        "#123456",
        False,
    )
    assert len(first["clicks"]) == 2 and second["finished"]
    area = first["area"]
    annotator.press("Delete")
    assert [one["number"] for one in annotator.state()["objects"]] == [2]
    annotator.tab.get_by_text("Bring back").click()
    annotator.settle()
    back = annotator.state()["objects"][-1]
    assert (back["name"], back["colour"], back["area"]) == ("disk", "#123456", area)


def test_brush_and_eraser_correct_by_hand_and_can_be_taken_back(annotator):
    annotator.tab.locator("#size").fill("40")
    annotator.press("b")
    annotator.drag((20, 10), (40, 10))
    painted = annotator.masks()[1]
    assert painted[10, 20:41].all() and not painted[30:].any()
    annotator.drag((40, 10), (60, 10))
    assert annotator.masks()[1][10, 20:61].all()
    annotator.press("e")
    annotator.drag((30, 10), (31, 10))
    erased = annotator.masks()[1]
    assert not erased[10, 29:32].any() and erased[10, 20] and erased[10, 60]
    assert annotator.current["area"] == erased.sum()
    annotator.press("Control+z")
    annotator.press("Control+z")
    np.testing.assert_array_equal(annotator.masks()[1], painted)
    # The next click corrects what the hand has drawn.
    annotator.press("c")
    annotator.click(70, 50)
    assert annotator.current["clicks"] == [[70, 50, True]]


def test_an_existing_label_map_is_loaded_and_corrected(annotator, tmp_path):
    labels = np.zeros((H, W), np.uint8)
    labels[5:20, 5:20], labels[30:50, 40:70] = 3, 7
    (tmp_path / "labels.png").write_bytes(images.encode_png(labels))
    annotator.tab.set_input_files("#maskFile", tmp_path / "labels.png")
    annotator.tab.wait_for_selector("#objects li:nth-child(2)")
    one, two = annotator.masks().values()
    np.testing.assert_array_equal(one, labels == 3)
    np.testing.assert_array_equal(two, labels == 7)
    annotator.click(50, 40, keys=["Control"])  # choose the object under the pointer
    assert annotator.current["number"] == 2
    annotator.click(45, 35)
    assert annotator.current["clicks"] == [[45, 35, True]]
    np.testing.assert_array_equal(annotator.masks()[1], labels == 3)


def test_the_folder_is_walked_and_each_picture_keeps_its_work(annotator):
    tiles = annotator.tab.locator("#pictures .tile")
    assert tiles.count() == 4  # three of the folder, and our own
    before = annotator.session
    tiles.nth(0).click()
    annotator.wait_for_session(other_than=before)
    annotator.click(42, 20)
    annotator.press("Space")
    first, area = annotator.session, annotator.shown[0]["area"]
    annotator.press("PageDown")
    annotator.wait_for_session(other_than=first)
    assert annotator.tab.locator("#name").inner_text().startswith("scene 1.png")
    second = annotator.session
    annotator.press("PageUp")
    annotator.wait_for_session(other_than=second)
    assert annotator.session == first
    assert [one["area"] for one in annotator.shown] == [area]
